"""Drills in which Redis goes away."""

from __future__ import annotations

from clew.drills.account import Account
from clew.drills.faults import KILL, PAUSE, regularly
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Attempt, Check, Drill, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks.services import REDIS, WORKERS

OUTAGE_SECONDS = 2
RESUME_SECONDS = 5
REFUSED_MS = 1000
EDGE_SECONDS = 0.2  # at the beginning of an outage, which nobody can date better


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


def outage(scene: Scene, kind: str) -> None:
    """Send at a rate; take Redis away for a while in the middle."""
    seconds = scene.size["seconds"]
    scene.at_a_rate(scene.size["rate"], seconds + 6, rehearsal(0.02))
    scene.pass_time(3)
    with scene.fault(kind, REDIS):
        scene.pass_time(seconds)
    scene.answered()
    scene.wait_consuming()


def pause_redis(scene: Scene) -> None:
    outage(scene, PAUSE)


def take_redis_down(scene: Scene) -> None:
    outage(scene, KILL)


def during(scene: Scene, account: Account) -> list[Attempt]:
    """Return the attempts that were sent while Redis was away and could be answered before it was back."""
    fault = scene.faults[0]
    first, last = fault.began + EDGE_SECONDS, (fault.ended or 0) - REFUSED_MS / 1000
    attempts = [attempt for request in account.requests for attempt in request.attempts]
    return [attempt for attempt in attempts if first < attempt.sent_at < last]


def check_outage(scene: Scene, account: Account) -> list[Check]:
    attempts = during(scene, account)
    others = sorted({str(attempt.status) for attempt in attempts})
    return [
        *always(account),
        exactly("answers while Redis was away", "503", ", ".join(others) if attempts else None),
        at_most("the slowest of them", REFUSED_MS, max((attempt.ms for attempt in attempts), default=None), "ms"),
        exactly("requests of retrying clients that failed", 0, len(account.failed_of("retrying"))),
    ]


REDIS_PAUSE = Drill(
    name="redis-pause",
    claim="While Redis hangs, every POST is answered 503 in less than 1 s, and none of them runs later.",
    should=(
        "Redis is frozen for 10 s under 50 requests a second: each is answered 503 in less than 1 s.",
        "When Redis continues, no refused request runs: what was on its way to Redis is too late.",
        "Clients that retry are accepted in the end.",
    ),
    stock="Requests block for many seconds. Some that were refused run all the same.",
    act=pause_redis,
    checks=check_outage,
    full={"seconds": 10, "rate": 50},
    short={"seconds": 4, "rate": 30},
)

REDIS_DOWN = Drill(
    name="redis-down",
    claim="While Redis is down, every POST is answered 503 in less than 1 s, and nothing that was accepted is lost.",
    should=(
        "Redis is killed and stays away for 15 s under 50 requests a second: each is answered 503 in less than 1 s.",
        "When Redis is back, every accepted task ends in SUCCESS, and no refused request runs.",
        "Clients that retry are accepted in the end.",
    ),
    stock="Requests block for many seconds. What waited is gone: by default Redis writes a snapshot now and then.",
    act=take_redis_down,
    checks=check_outage,
    full={"seconds": 15, "rate": 50},
    short={"seconds": 4, "rate": 30},
)
