"""One million lines of nine services: SQL compared with grep and sort. `make bench-sql`, two minutes."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clew import ladder
from clew.evidence import sql
from clew.stacks.services import API_SERVERS, NGINX, REDIS, SERVICES, WORKERS

LINES = int(os.environ.get("LINES_OF_LOGS", "1000000"))
ROUNDS = int(os.environ.get("ROUNDS", "7"))
PER_REQUEST = 8
# What a shell can do: the lines of all hops by ID and time, and the time since the line before with the same ID.
SHELL_HOPS = r"""cat *.log | grep '"hop"' |
sed -E 's/.*"ts": ?([0-9.]+).*"hop": ?"([a-z-]+)".*"correlation_id": ?"([^"]+)".*/\3 \1 \2/' | sort -k1,1 -k2,2n |
awk '$1 == id { n[$3]++; ms[$3] += $2 - at } { id = $1; at = $2 } END { for (h in n) print h, ms[h] * 1e3 / n[h] }'"""
SQL_HOPS = """SELECT hop, avg(ms) FROM (
    SELECT hop, (ts - lag(ts) OVER (PARTITION BY correlation_id ORDER BY ts)) * 1000 AS ms FROM hops) GROUP BY hop"""


def write(folder: Path) -> tuple[dict[str, Path], str]:
    """Write LINES lines of nine services into a folder; return the files and an ID that is in them."""
    randoms = random.Random(7)  # noqa: S311 - the same lines each time
    files = {service: folder / f"{service}.log" for service in SERVICES}
    opened = {service: file.open("w") for service, file in files.items()}
    when = 1.8e9
    for number in range(LINES // PER_REQUEST):
        when += 0.01
        sent, task = f"TRACE-{number}", f"{randoms.getrandbits(128):032x}"
        server, worker = randoms.choice(API_SERVERS), randoms.choice(WORKERS)
        request = {"request_id": sent, "method": "POST", "path": "/api/v1/tasks"}
        steps: list[tuple[str, dict[str, Any]]] = [(server, {"message": "Request started: POST", **request})]
        for hop in ladder.HOPS:
            service = NGINX if hop == "nginx" else worker if hop == "worker" else server
            fields = {"hop": hop, "correlation_id": sent, "at": "services/queue_service.py:30", "task_id": task}
            steps.append((service, {"message": f"Handing on from {hop}", **fields}))
        steps.append((server, {"message": "Request completed: 201", **request, "duration_ms": 3.2}))
        steps.append((worker, {"message": "VaR COMPLETE", "task_id": task, "correlation_id": sent, "duration_ms": 9.1}))
        for step, (service, fields) in enumerate(steps):
            ts = round(when + step * 0.001 + randoms.random() / 2000, 6)
            line = {"ts": ts, "level": "INFO", "service": service, **fields}
            opened[service].write(json.dumps(line) + "\n")
    opened[REDIS].write("1:M 24 Nov 2026 10:00:00.000 * Ready to accept connections\n")
    for file in opened.values():
        file.close()
    return files, f"TRACE-{LINES // PER_REQUEST // 2}"


def timed(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files, wanted = write(Path(folder))
        megabytes = sum(file.stat().st_size for file in files.values()) / 1e6
        began = time.perf_counter()
        connection = sql.database(files)
        loading = time.perf_counter() - began

        def shell(command: str) -> Callable[[], Any]:
            return lambda: subprocess.run(
                ["sh", "-c", command],
                cwd=folder,
                check=True,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )

        pairs = {
            "one request": (
                lambda: sql.ask(connection, f"FROM request('{wanted}')", ""),
                shell(f"grep -hw {wanted} *.log | sort -t: -k2"),
            ),
            "time of each hop": (lambda: sql.ask(connection, SQL_HOPS, ""), shell(SHELL_HOPS)),
        }
        print(f"{LINES} lines, {megabytes:.0f} MB, loaded once in {loading:.2f} s; {ROUNDS} rounds, interleaved")
        for name, (asks, shells) in pairs.items():
            times = [(timed(asks), timed(shells)) for _ in range(ROUNDS)]
            ratio = statistics.median(a / b for a, b in times)
            ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{name:<17} SQL {ours:.3f} s, shell {theirs:.3f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
