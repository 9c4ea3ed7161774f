"""The drill with everything at once."""

from __future__ import annotations

from clew.drills import faults
from clew.drills.account import Account
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Check, Drill, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks.drivers.local import LocalDriver

EXTRA_PERCENT = 0.1


def everything(scene: Scene) -> None:
    """Keep a steady load and follow a seeded plan of eleven faults."""
    with_child = isinstance(scene.driver, LocalDriver)
    plan = faults.mixed(scene.rng, scene.size["seconds"], scene.count("faults"), with_child)
    if not with_child:
        scene.say("A pool process can only be killed with the local driver: one fault fewer.")
    scene.notes["plan"] = [planned._asdict() for planned in plan]
    scene.at_a_rate(scene.size["rate"], scene.size["seconds"], rehearsal(0.02))
    scene.follow(plan)


def check_mixed(scene: Scene, account: Account) -> list[Check]:
    tasks = len(account.acknowledged)
    return [
        *always(account),
        exactly("faults that landed", len(scene.notes["plan"]), sum(fault.landed for fault in scene.faults)),
        exactly("failed requests of clients with a key", 0, len(account.failed_of("retrying")), needs_calm=True),
        exactly("requests run under two task IDs", 0, len(account.twice)),
        at_most("extra runs", EXTRA_PERCENT, 100 * account.extra_runs / tasks if tasks else None, "% of the tasks"),
    ]


MIXED = Drill(
    name="mixed",
    claim="Under 150 requests a second and eleven faults of six kinds in 60 s, nothing is lost and nothing is doubled.",
    should=(
        "Three kills of workers, three of API servers, two of Redis, one pause of Redis, one kill of a pool process "
        "and one reload of nginx, in an order that the seed decides.",
        "Every accepted task ends in SUCCESS, its effect applied once; no refused request runs.",
        "At most one run in a thousand is an extra one.",
    ),
    stock="Tasks are lost or wait for the visibility timeout, refused requests run, and many requests fail.",
    act=everything,
    checks=check_mixed,
    full={"rate": 150, "seconds": 60, "faults": 11},
    short={"rate": 40, "seconds": 24, "faults": 4},
    seconds=90,
)
