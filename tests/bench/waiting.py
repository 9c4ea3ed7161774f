"""How long tasks wait for a free worker process, compared with queueing theory. `make bench-queue`, six minutes.

Twelve processes, tasks that only wait (mean 0.4 s, exponential), sent at random moments at five rates. Both times come
from the trail: a task waits from the line of the queue service to the line of the worker.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from typing import Any

from clew.core.lines import parse_line
from clew.core.wait import wait_until
from clew.drills import queueing
from clew.drills.account import runs_in
from clew.drills.load import Plan, Sender, arrivals, rehearsal
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver
from clew.stacks.stack import Stack, stage_stack

SERVERS, SERVICE_SECONDS = 12, 0.4
LOADS = (0.5, 0.7, 0.8, 0.9, 0.95)
SECONDS = float(os.environ.get("SECONDS_EACH", "60"))


def measure(stack: Stack, driver: Driver, load: float, rng: random.Random) -> dict[str, Any]:
    """Send tasks so that the processes work this share of their time; return what was seen and predicted."""
    plan, sender, began = Plan(rng), Sender(stack.url, rng), time.time() + 1
    rate = load * SERVERS / SERVICE_SECONDS
    sender.begin([
        plan.request(rehearsal(min(60.0, rng.expovariate(1 / SERVICE_SECONDS))), began + at, client="plain")
        for at in arrivals(rng, rate, SECONDS)
    ])  # fmt: skip
    sender.finish()
    sent = len(sender.requests)
    lines: list[dict[str, Any]] = []

    def all_done() -> bool:
        texts = driver.logs(began - 1)
        lines[:] = [parse_line(service, text) for service, found in texts.items() for text in found if text]
        return sum(bool(ran.completed) for ran in runs_in(lines).values()) >= sent

    wait_until(all_done, 120, "all tasks to end", stack.command("status"), every=1)
    queued = {line["task_id"]: line["ts"] for line in lines if line.get("hop") == "queue-service"}
    runs = [ran for task, ran in runs_in(lines).items() if task in queued and ran.completed]
    waits = [ran.starts[0][0] - queued[ran.task_id] for ran in runs]
    service = [ran.completed[0] - ran.starts[0][0] for ran in runs]
    mean, seen = statistics.fmean(service), sent / SECONDS
    return {
        "load": round(queueing.utilization(seen, mean, SERVERS), 3),
        "tasks": len(runs),
        "arrivals_per_second": round(seen, 2),
        "service_seconds": round(mean, 4),
        "wait_mean": round(statistics.fmean(waits), 4),
        "wait_p99": round(statistics.quantiles(waits, n=100)[98], 3),
        "predicted_mean": round(queueing.mean_wait(seen, mean, SERVERS), 4),
        "predicted_p99": round(queueing.wait_percentile(seen, mean, SERVERS, 0.99), 3),
    }


def main() -> None:
    """Print one line of JSON for each rate."""
    stack, rng = stage_stack(5), random.Random(7)  # noqa: S311 - the same load each time
    with lifecycle.borrowed(stack, print) as (driver, *_):
        for load in LOADS:
            print(json.dumps(measure(stack, driver, load, rng)), flush=True)


if __name__ == "__main__":
    main()
