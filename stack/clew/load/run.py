"""Running a scenario, and counting: of all IDs that were sent, how many are in the workers' logs."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import logs
from clew.load.scenarios import Scenario, require_loopback
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, driver_of
from clew.stacks.services import WORKERS
from clew.stacks.stack import Stack

MARGIN_SECONDS = 60  # to start, to wait for the last answers, to write the report
DRAIN_SECONDS = 60
LINES_SECONDS = 3.0  # until the last line of a worker is in its log


@dataclass(frozen=True)
class Counted:
    """What became of the IDs. Times are milliseconds from when a request was due to its whole answer; `late_p99` is how
    late the load itself was: with more than a few, it could not keep up."""

    scenario: str
    seconds: float
    sent: int
    statuses: dict[str, int]
    acknowledged: int
    found: int
    missing: list[str]
    p50: float
    p95: float
    p99: float
    longest: float
    late_p99: float
    report: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run(stack: Stack, scenario: Scenario, seconds: float, say: Callable[[str], None]) -> Counted:
    """Send a scenario's requests to a stack that is up, and look for their IDs in the workers' logs.

    Raises:
        ClewError: Locust is not installed, the stack is not up or in use, or nothing could be sent or was acknowledged.
    """
    require_loopback(stack.url)
    if importlib.util.find_spec("locust") is None:
        raise ClewError("Locust is not installed.", "python3 stack/bootstrap.py run load")
    driver = driver_of(stack)
    plan = scenario.due(seconds)
    with lifecycle.reserved(stack):
        folder = stack.state / "load"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(json.dumps(plan))
        began = time.time()
        attack(stack, folder, seconds, lambda page: say(f"{len(plan):,} requests in {seconds:g} s; live page: {page}"))
        outcomes = [json.loads(line) for line in (folder / "requests.jsonl").read_text().splitlines()]
        acknowledged = {one["id"] for one in outcomes if one["status"] == 201}
        if not acknowledged:
            raise ClewError(f"None of {len(plan)} requests was accepted; see {folder}.", stack.command("status"))
        drain(stack)
        counted = count(scenario.name, seconds, len(plan), outcomes, in_workers(driver, began, acknowledged), folder)
        (folder / "result.json").write_text(json.dumps(counted.to_json(), indent=1) + "\n")
        return counted


def attack(stack: Stack, folder: Path, seconds: float, started: Callable[[str], None]) -> None:
    """Run the process that sends the plan.

    Raises:
        ClewError: it failed, or did not end in time.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-I", "-m", "clew.load.attack", stack.url, str(folder), str(port)]
    with (folder / "locust.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            started(f"http://127.0.0.1:{port}")
            code = process.wait(timeout=seconds + MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClewError(
                f"The load did not end {MARGIN_SECONDS} s after its last request.", f"cat {folder / 'locust.log'}"
            ) from None
        finally:
            process.kill()
    if code != 0:
        raise ClewError(f"The load ended with exit code {code}.", f"cat {folder / 'locust.log'}")


def drain(stack: Stack) -> None:
    """Wait until no accepted task waits for a worker.

    Raises:
        ClewError: some still do after DRAIN_SECONDS.
    """

    def drained() -> bool:
        try:
            answer = httpx.get(f"{stack.url}/api/v1/queues", timeout=5, trust_env=False)
            return answer.status_code == 200 and answer.json()["waiting"] == 0
        except httpx.HTTPError:
            return False

    wait_until(drained, DRAIN_SECONDS, "the workers to run all accepted tasks", stack.command("status"), every=0.5)


def in_workers(driver: Driver, since: float, wanted: set[str]) -> set[str]:
    """Return which of the IDs the workers' logs have; the last lines may take a moment."""
    deadline = time.monotonic() + LINES_SECONDS
    while True:
        texts = {service: lines for service, lines in driver.logs(since).items() if service in WORKERS}
        found = ids(logs.parsed(texts, since)) & wanted
        if found == wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def ids(lines: Iterable[Line]) -> set[str]:
    return {str(line["correlation_id"]) for line in lines if line.get("correlation_id")}


def count(
    scenario: str, seconds: float, sent: int, outcomes: Sequence[dict[str, Any]], found: set[str], folder: Path
) -> Counted:
    """Return the account of a run, from each request's outcome and the IDs that were found."""
    acknowledged = [one["id"] for one in outcomes if one["status"] == 201]
    statuses = Counter(str(one["status"] or "no answer") for one in outcomes)
    if unsent := sent - len(outcomes):
        statuses["not sent"] = unsent
    times = percentiles([one["ms"] for one in outcomes])
    return Counted(
        scenario=scenario,
        seconds=seconds,
        sent=sent,
        statuses=dict(statuses),
        acknowledged=len(acknowledged),
        found=sum(one in found for one in acknowledged),
        missing=[one for one in acknowledged if one not in found],
        p50=times[49],
        p95=times[94],
        p99=times[98],
        longest=max(one["ms"] for one in outcomes),
        late_p99=percentiles([one["late"] for one in outcomes])[98],
        report=str(folder / "report.html"),
    )


def percentiles(values: Sequence[float]) -> list[float]:
    """Return the 99 values between hundredths of the values."""
    return [round(one, 3) for one in statistics.quantiles([*values, *values[:1]], n=100, method="inclusive")]
