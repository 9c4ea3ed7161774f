"""Drills in which there is more to do than can be done."""

from __future__ import annotations

from clew.drills.account import Account, latencies
from clew.drills.faults import STOP
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Check, Drill, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks.services import WORKERS

LIMIT = 500
HERD_MS = 2000


def herd(scene: Scene) -> None:
    """Stop the workers, send everything at once, then start the workers."""
    scene.watch.every = 0.05
    faults = [scene.inject(STOP, worker) for worker in WORKERS]
    scene.send([rehearsal()] * scene.count("requests"), client="plain")
    scene.pass_time(1)  # for the watch to see the depth that is left
    for fault in faults:
        scene.heal(fault)
    scene.wait_consuming()


def check_herd(scene: Scene, account: Account) -> list[Check]:
    wanted = min(LIMIT, scene.count("requests"))
    statuses = sorted({str(attempt.status) for one in account.refused for attempt in one.attempts})
    return [
        *always(account),
        exactly("accepted while no worker consumes", wanted, len(account.acknowledged)),
        exactly("the deepest queue", wanted, account.deepest),
        exactly("statuses of the refusals", "503", ", ".join(statuses)),
        exactly("requests without a whole answer", 0, len(account.resets)),
        at_most("p99 of the answers", HERD_MS, latencies(account.requests)["p99"], "ms"),
    ]


HERD = Drill(
    name="herd",
    claim="1,000 requests at once: exactly 500 are accepted, the others refused with 503, and no connection breaks.",
    should=(
        "No worker consumes; 1,000 clients send one request each at the same moment.",
        "Exactly 500 tasks are accepted and wait; 500 requests are answered 503.",
        "No connection is reset; 99 of 100 answers arrive within 2 s.",
    ),
    stock="All 1,000 are accepted: nothing limits the queue.",
    act=herd,
    checks=check_herd,
    full={"requests": 1000},
    short={"requests": 700},
    seconds=60,
)
