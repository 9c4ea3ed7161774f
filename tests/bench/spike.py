"""100 requests a second through nginx, sent when they are due, timed from then; each ID is looked for afterwards."""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Iterator

from harness import Bench, Json, Ratio, Variants

from clew.drills.load import Plan, Sender, arrivals, rehearsal
from clew.load.run import drain, in_workers, percentiles
from clew.stacks import lifecycle
from clew.stacks.stack import stage_stack

PER_SECOND, SECONDS = 100, 5.0


@contextlib.contextmanager
def opened(facts: Json) -> Iterator[Variants]:
    stack, rng = stage_stack(5), random.Random(7)  # noqa: S311 - the same load each time
    plan = Plan(random.Random())  # noqa: S311 - IDs that no earlier run had
    began, acknowledged, times = time.time(), set[str](), list[float]()

    def segment() -> float:
        drain(stack)
        sender, start = Sender(stack.url, rng), time.time() + 0.2
        moments = arrivals(rng, PER_SECOND, SECONDS)
        sender.begin([plan.request(rehearsal(), start + at, client="plain") for at in moments])
        sender.finish(60)
        ms = [(one.attempts[0].sent_at - one.planned_at) * 1000 + one.attempts[0].ms for one in sender.requests]
        acknowledged.update(one.correlation_id for one in sender.requests if one.outcome == "acknowledged")
        times.extend(ms)
        return statistics.median(ms)

    with lifecycle.borrowed(stack, print) as started:
        yield {"p50": segment, "p50 again": segment, "limit": lambda: 10.0}
        drain(stack)
        found = in_workers(started.driver, began, acknowledged)
        facts |= {"sent": len(times), "acknowledged": len(acknowledged), "IDs lost": len(acknowledged - found)}
        facts |= {"p99 ms": percentiles(times)[98], "driver": started.driver.name}


BENCH = Bench(
    "spike",
    "100 requests a second through nginx at random moments, timed from when each was due",
    "ms",
    opened,
    (Ratio("p50 ÷ 10 ms", "p50", "limit"),),
    ("p50", "p50 again"),
    rounds=30,
    short=2,
    most={"p99 ms": 10.0, "IDs lost": 0},
)
