"""Drills in which Redis goes away."""

from __future__ import annotations

from clew.core.errors import ClewError
from clew.drills import power
from clew.drills.account import Account
from clew.drills.faults import KILL, PAUSE, regularly
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Attempt, Check, Drill, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks import ready
from clew.stacks.drivers.local import LocalDriver
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
        exactly("requests of retrying clients that failed", 0, len(account.failed_of("retrying")), needs_calm=True),
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


FSYNC = ("always", "everysec", "no")
CUT_SECONDS = 2  # everysec: Redis syncs once a second, and lets a slow sync take one second more


def cut_power(scene: Scene) -> None:
    """For each setting: send at a rate, cut the power at a random moment, let Redis start with what was left."""
    assert isinstance(scene.driver, LocalDriver)
    scene.notes["cuts"] = []
    for setting in FSYNC if scene.durable else FSYNC[:1]:
        for number in range(scene.count("cuts")):
            scene.say(f"Power cut {number + 1} of {scene.count('cuts')} with appendfsync {setting}.")
            one_cut(scene, scene.driver, setting)
            scene.wait(lambda: scene.watch.depths[-1][1] == 0, 30, "the queues to be empty")


def one_cut(scene: Scene, driver: LocalDriver, setting: str) -> None:
    trace = None
    try:
        if scene.durable:
            trace = power.SyncTrace(driver, driver.home / "tmp" / REDIS / "trace")
            trace.attach()
            with ready.redis_client(scene.stack) as client:
                client.config_set("appendfsync", setting)
        scene.at_a_rate(scene.size["rate"], scene.size["seconds"], rehearsal(0.1), label=setting)
        scene.pass_time(scene.size["seconds"] * scene.rng.uniform(0.4, 0.9))
        with scene.fault(KILL, REDIS) as fault:
            removed = trace.cut() if trace is not None else 0
            scene.notes["cuts"].append({"appendfsync": setting, "at": fault.began, "bytes_cut": removed})
            scene.pass_time(1)
        scene.answered()
        scene.wait_consuming()
    except ClewError as error:
        scene.doubts.append(error.message)
    finally:
        if trace is not None:
            trace.end()


def check_power(scene: Scene, account: Account) -> list[Check]:
    kept = account.only("always")
    checks = [f"with always: {one.what}" for one in always(kept)]
    found = [Check(what, one.should, one.found, one.ok) for what, one in zip(checks, always(kept), strict=True)]
    if not scene.durable:
        return found
    cuts = [cut["at"] for cut in scene.notes["cuts"] if cut["appendfsync"] == "everysec"]
    ages = [
        min((cut - answer.sent_at for cut in cuts if cut >= answer.sent_at), default=float("inf"))
        for one in account.only("everysec").lost
        if (answer := one.answer) is not None
    ]
    never = len(account.only("no").lost)
    scene.notes["lost"] = {setting: len(account.only(setting).lost) for setting in FSYNC}
    return [
        *found,
        at_most(f"with everysec {len(ages)} are lost; the oldest was accepted before the cut", CUT_SECONDS,
                max(ages, default=0.0), "s"),
        Check("with no: lost, which shows that the cut takes effect", "≥ 1", str(never), True if never else None),
    ]  # fmt: skip


POWER_CUT = Drill(
    name="power-cut",
    claim="With appendfsync always, an emulated power cut loses nothing; everysec loses up to the last 2 s.",
    should=(
        "Redis is killed four times with each setting of appendfsync, and its file cut to what had been synced.",
        "With always nothing is lost. With everysec only tasks accepted in the last 2 s are.",
        "With no, everything since the last sync is lost.",
    ),
    stock="Everything since the last snapshot is lost: there is no append-only file.",
    act=cut_power,
    checks=check_power,
    full={"cuts": 4, "rate": 40, "seconds": 5},
    short={"cuts": 1, "rate": 40, "seconds": 4},
    seconds=30,
    drivers=("local",),
    why_driver="strace has to watch Redis's process, and its file has to be cut.",
)
