"""Drills in which there is more to do than can be done."""

from __future__ import annotations

from clew.drills.account import Account, latencies
from clew.drills.faults import PAUSE, STOP
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Check, Drill, Request, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks.services import WORKERS

LIMIT = 500
HERD_MS = 2000
CALLERS = 24
URGENT_SECONDS = 1


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
    at_once = account.most_at_once
    statuses = sorted({str(attempt.status) for one in account.refused for attempt in one.attempts})
    return [
        *always(account),
        at_most("accepted while no worker consumes", LIMIT, len(account.acknowledged)),
        exactly("of them, on a machine that is not busy", wanted, len(account.acknowledged), needs_calm=True),
        at_most("the deepest queue", LIMIT, account.deepest),
        Check("requests at the same moment", f"≥ {wanted}", f"{at_once:,}", True if at_once >= wanted else None),
        exactly("statuses of the refusals", "503", ", ".join(statuses)),
        exactly("requests without a whole answer", 0, len(account.resets)),
        at_most("p99 of the answers", HERD_MS, latencies(account.requests)["p99"], "ms"),
    ]


HERD = Drill(
    name="herd",
    claim="1,000 requests at once: exactly 500 are accepted, the others refused with 503, and no connection breaks.",
    should=(
        "No worker consumes; 1,000 clients send one request each at the same moment.",
        "Exactly 500 tasks are accepted and wait, never more; the other requests are answered 503.",
        "No connection is reset; 99 of 100 answers arrive within 2 s.",
    ),
    stock="All 1,000 are accepted: nothing limits the queue.",
    act=herd,
    checks=check_herd,
    full={"requests": 1000},
    short={"requests": 700},
    seconds=60,
)


def breaker(scene: Scene) -> None:
    """Fill the queue until the breaker opens, drain half of it, then send callers at once while nothing finishes."""
    scene.watch.every = 0.05
    frozen = [scene.inject(PAUSE, worker) for worker in WORKERS]
    scene.as_accepted(LIMIT, rehearsal(0.1), senders=12)
    scene.answered()
    scene.notes["filled"] = scene.sender.accepted
    scene.send([rehearsal(0.1)] * CALLERS, client="plain", label="open")
    for fault in frozen:
        scene.heal(fault)
    half = scene.wait(lambda: 0 < scene.watch.depths[-1][1] <= LIMIT // 2, 60, "half of the queue to drain")
    frozen = [scene.inject(PAUSE, worker) for worker in WORKERS]
    if half is None:
        scene.doubts.append("The queue did not drain to half.")
    scene.send([rehearsal(0.1)] * CALLERS, client="plain", label="half-open")
    for fault in frozen:
        scene.heal(fault)
    scene.wait(lambda: scene.watch.depths[-1][1] == 0, 60, "the queue to be empty")
    scene.pass_time(1)
    scene.send([rehearsal(0.1)] * CALLERS, client="plain", label="closed")


def accepted_of(account: Account, label: str) -> int:
    return sum(one.label == label for one in account.acknowledged)


def check_breaker(scene: Scene, account: Account) -> list[Check]:
    return [
        *always(account),
        exactly("accepted before it opens", LIMIT, scene.notes["filled"]),
        exactly("accepted of 24 callers while it is open", 0, accepted_of(account, "open")),
        exactly("accepted of 24 callers while it is half-open: the probe", 1, accepted_of(account, "half-open")),
        exactly("accepted of 24 callers once the probe's task succeeded", CALLERS, accepted_of(account, "closed")),
    ]


BREAKER = Drill(
    name="breaker",
    claim="The circuit breaker opens at 500 waiting tasks, lets exactly one of 24 callers probe, and closes again.",
    should=(
        "With 500 tasks waiting the breaker opens: 24 callers at once are refused.",
        "Drained to half, it is half-open: of 24 callers at once, spread over three servers, exactly one is accepted.",
        "When that one's task has succeeded it closes: 24 callers at once are accepted.",
    ),
    stock="There is no breaker: everything is accepted.",
    act=breaker,
    checks=check_breaker,
    full={},
    short={},
)


def urgent_first(scene: Scene) -> None:
    """Send urgent tasks behind many that are not; then start idle workers on a shuffled mixture of all three."""
    scene.send([rehearsal(1.0, "low")] * scene.count("low"), label="low")
    for _ in range(scene.count("probes")):
        scene.pass_time(scene.rng.uniform(0.5, 1.5))
        scene.send([rehearsal(0.05, "high")], label="probe")
    scene.wait(lambda: scene.watch.depths[-1][1] == 0, 120, "the queues to be empty")
    scene.pass_time(1.5)  # the last tasks of one second
    frozen = [scene.inject(STOP, worker) for worker in WORKERS]
    bodies = [rehearsal(0.1, priority) for priority in ("high", "medium", "low") for _ in range(scene.count("each"))]
    scene.rng.shuffle(bodies)
    scene.send(bodies, label="order")
    for fault in frozen:
        scene.heal(fault)
    scene.wait_consuming()


def waits(account: Account, requests: list[Request]) -> list[float]:
    """Return how many seconds each of these waited from its answer to its first start."""
    found = []
    for one in requests:
        starts = [when for ran in account.runs_of(one) for when, _ in ran.starts]
        if starts and one.answer:
            found.append(min(starts) - one.answer.sent_at - one.answer.ms / 1000)
    return found


def check_priority(scene: Scene, account: Account) -> list[Check]:
    probes = [one for one in account.acknowledged if one.label == "probe"]
    mixture = [one for one in account.acknowledged if one.label == "order"]
    behind = min((one.planned_at for one in probes), default=0.0)
    last = max((ran.starts[0][0] for one in account.acknowledged if one.label == "low"
                for ran in account.runs_of(one) if ran.starts), default=0.0)  # fmt: skip
    scene.notes["low_tasks_still_waiting"] = last > behind
    return [
        *always(account),
        at_most("the longest wait of an urgent task", URGENT_SECONDS, max(waits(account, probes), default=None), "s"),
        exactly(f"out of order, of {3 * scene.count('each')}", 0, account.out_of_order(mixture) if mixture else None),
    ]


PRIORITY = Drill(
    name="priority",
    claim="Urgent tasks start within 1 s behind 200 others of 1 s, and no task starts before a more urgent one.",
    should=(
        "200 low tasks of 1 s wait; each of 10 high ones starts within 1 s of its answer.",
        "40 high, 40 medium and 40 low tasks, sent in any order to stopped workers, start in the order of urgency.",
    ),
    stock="The three queues take turns: urgent tasks wait behind low ones.",
    act=urgent_first,
    checks=check_priority,
    full={"low": 200, "probes": 10, "each": 40},
    short={"low": 60, "probes": 3, "each": 20},
    seconds=60,
)
