"""Drills in which Redis goes away."""

from __future__ import annotations

from clew.drills.account import Account
from clew.drills.faults import KILL, regularly
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Check, Drill, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks.services import REDIS, WORKERS

OUTAGE_SECONDS = 2
RESUME_SECONDS = 5


def kill_redis(scene: Scene) -> None:
    """Build a backlog, keep a steady load, and kill Redis once in each period."""
    kills, every = scene.count("kills"), scene.size["every"]
    scene.send([rehearsal(scene.size["seconds"])] * scene.count("backlog"))
    scene.at_a_rate(scene.size["rate"], kills * every + every, rehearsal(scene.size["seconds"]))
    scene.follow(regularly(scene.rng, KILL, REDIS, kills, every, OUTAGE_SECONDS))


def resumed(scene: Scene, account: Account) -> list[float]:
    """Return, for each outage and each worker, the seconds from when Redis was started to the worker's next task."""
    starts: dict[str, list[float]] = {worker: [] for worker in WORKERS}
    for ran in account.runs.values():
        for when, worker in ran.starts:
            starts[worker].append(when)
    found = []
    for fault in scene.faults:
        for worker in WORKERS:
            after = [when for when in starts[worker] if fault.ended is not None and when > fault.ended]
            found.append(min(after, default=float("inf")) - (fault.ended or 0))
    return found


def check_redis_kill(scene: Scene, account: Account) -> list[Check]:
    waits = resumed(scene, account)
    scene.notes["resume_seconds"] = [round(wait, 2) for wait in waits]
    return [
        *always(account),
        exactly("kills of Redis", scene.count("kills"), sum(fault.landed for fault in scene.faults)),
        at_most("every worker starts a task after Redis is back in", RESUME_SECONDS, max(waits, default=None), "s"),
    ]


REDIS_KILL = Drill(
    name="redis-kill",
    claim="When Redis is killed with a backlog and is back 2 s later, nothing is lost and every worker resumes in 5 s.",
    should=(
        "While Redis is away, requests are refused.",
        "Within 5 s of its start, each worker starts a task; none of the workers has ended.",
        "Every accepted task ends in SUCCESS, its effect applied once.",
    ),
    stock="The queue is gone with each kill: by default Redis writes a snapshot now and then. Some tasks that finish "
    "during an outage are recorded as FAILURE.",
    act=kill_redis,
    checks=check_redis_kill,
    full={"kills": 10, "every": 9, "backlog": 300, "rate": 40, "seconds": 0.25},
    short={"kills": 2, "every": 9, "backlog": 150, "rate": 30, "seconds": 0.25},
    seconds=90,
)
