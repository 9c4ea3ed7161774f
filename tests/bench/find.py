"""One request of a thousand, found in five ways: each command as it is typed, timed in turns. `make bench-find`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from clew.core.wait import wait_until
from clew.evidence import client
from clew.monitor.prometheus import watching
from clew.stacks import lifecycle
from clew.stacks.stack import stage_stack

ROUNDS = int(os.environ.get("ROUNDS", "5"))
REQUESTS = 1000


def typed(*arguments: str) -> str:
    """Return what a command of clew prints."""
    command = [sys.executable, "-I", "-m", "clew", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def main() -> None:
    """Print the median of each way, in seconds."""
    stack = stage_stack(5)
    with lifecycle.borrowed(stack, print) as (driver, *_), watching(stack, driver, print) as monitor:
        began = time.time()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: client.send_task(stack, f"ORDER-{number}"), range(REQUESTS)))
        wanted = f"ORDER-{REQUESTS // 2}"

        def exemplars() -> list[str]:
            client.send_task(stack, f"LATER-{time.time()}")
            return [one["correlation_id"] for one in monitor.exemplars("clew_http_request_seconds_bucket", began)]

        wait_until(lambda: any(one.startswith("ORDER-") for one in exemplars()), 30, "an exemplar", "", every=0.5)
        ways = {
            "trace, which sends one more and finds it": lambda: typed("trace", "5", "--id", wanted),
            "logs ID=": lambda: typed("logs", "5", "--id", wanted),
            "columns ID=": lambda: typed("columns", "5", "--id", wanted),
            "sql QUERY=\"FROM request('…')\"": lambda: typed("sql", "5", "--query", f"FROM request('{wanted}')"),
            "an exemplar, from a slow bucket to an ID": lambda: " ".join(exemplars()),
        }
        took: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start = time.perf_counter()
                shown = way()
                took[name].append(time.perf_counter() - start)
                assert "ORDER-" in shown, f"{name}: {shown}"
        lines = sum(map(len, driver.logs().values()))
    print(f"{REQUESTS} requests, {lines} lines, medians of {ROUNDS}")
    for name, seconds in took.items():
        print(f"{statistics.median(seconds):6.2f} s  {name}")


if __name__ == "__main__":
    main()
