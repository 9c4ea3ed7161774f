"""How many workers a backlog needs: a controller around `docker service scale`, as short as it can be.

It looks at the number of tasks that wait, not at processors: a worker that waits for a database is idle and still
busy. Up at once, because tasks wait now; down late and in small steps, because a worker that has just started is
wasted when the next burst comes a second later.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import httpx

from clew.core.errors import ClewError
from clew.swarm.cluster import WORKER, Cluster

SLOTS = 4  # tasks that a worker runs at once


@dataclass(frozen=True)
class Rules:
    """`per_worker` tasks that wait are what one worker may have before it; `calm_looks` in a row allow a step down."""

    least: int = 1
    most: int = 6
    per_worker: int = 5 * SLOTS
    calm_looks: int = 5


class Decision(NamedTuple):
    """How many workers there should be, and how many looks in a row have wanted fewer than there are."""

    workers: int
    calm: int


def decide(waiting: int, workers: int, calm: int, rules: Rules) -> Decision:
    """Return the decision for `waiting` tasks and so many `workers`, after `calm` looks that wanted fewer."""
    wanted = min(max(math.ceil(waiting / rules.per_worker), rules.least), rules.most)
    if wanted > workers:
        return Decision(wanted, 0)
    if wanted == workers:
        return Decision(workers, 0)
    if calm + 1 < rules.calm_looks:
        return Decision(workers, calm + 1)
    return Decision(workers - 1, 0)


class Look(NamedTuple):
    """One look: seconds since the start, tasks that waited, workers that there should be before and after."""

    at: float
    waiting: int
    before: int
    after: int


def control(cluster: Cluster, rules: Rules, seconds: float, every: float = 2.0) -> Iterator[Look]:
    """Look every so often, for so many seconds, and scale the workers; yield each look."""
    began, calm = time.monotonic(), 0
    while (at := time.monotonic() - began) < seconds:
        try:
            found = httpx.get(f"{cluster.doors()[0]}/api/v1/queues", timeout=5, trust_env=False).raise_for_status()
            waiting = int(found.json()["waiting"])
            _, workers = cluster.replicas()[WORKER]
            decision = decide(waiting, workers, calm, rules)
            if decision.workers != workers:
                cluster.ask("service", "scale", "--detach", f"clew_{WORKER}={decision.workers}")
        except (httpx.HTTPError, ClewError, LookupError, ValueError):
            time.sleep(every)  # nobody knows, or no manager leads: nothing is changed
            continue
        calm = decision.calm
        yield Look(at, waiting, workers, decision.workers)
        time.sleep(every)
