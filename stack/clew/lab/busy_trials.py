"""What notebook 8 tries: asking more of nine services than they can do at once. `busy.py` shows what was seen.

Times are in seconds since the trial began.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx

from clew.drills.account import runs_in
from clew.drills.faults import PAUSE
from clew.drills.load import Body, arrivals, rehearsal
from clew.drills.scene import Scene
from clew.drills.settle import states_of
from clew.lab.bench import Seen
from clew.stacks.services import WORKERS

STEADY_PER_SECOND, STEADY_SECONDS, BURST, BURST_AT, BURST_SECONDS = 5, 9.0, 90, 2.0, 1.5
TASK_SECONDS = 0.5
LOW, URGENT = 90, 6
LIMIT, CALLERS = 500, 24
PRIORITIES = ("high", "medium", "low")
FINISH_SECONDS = 60


def burst(scene: Scene) -> Seen:
    """Send a few requests a second, and two seconds later a burst on top."""
    begin = scene.began + 1.0
    steady = [begin + at for at in arrivals(scene.rng, STEADY_PER_SECOND, STEADY_SECONDS)]
    together = [begin + BURST_AT + scene.rng.uniform(0, BURST_SECONDS) for _ in range(BURST)]
    body = rehearsal(TASK_SECONDS)
    scene.sender.begin([scene.plan.request(body, at, "plain", paced=True) for at in sorted(steady + together)])
    finish(scene)
    return {"requests": requests_of(scene), "runs": runs_of(scene), "depths": depths_of(scene)}


def urgent(scene: Scene) -> Seen:
    """Let many low tasks wait, then send a few more urgent ones in any order."""
    body = rehearsal(TASK_SECONDS, "low")
    scene.send([body] * LOW, client="retrying")
    late: list[Body] = [rehearsal(TASK_SECONDS, priority) for priority in PRIORITIES[:2] for _ in range(URGENT)]
    scene.rng.shuffle(late)
    scene.send(late, client="retrying")
    finish(scene)
    ran = runs_in(scene.lines())
    tasks = []
    for request in scene.sender.requests:
        answer = request.answer
        if request.task_id and answer and ran[request.task_id].starts and ran[request.task_id].completed:
            accepted = answer.sent_at + answer.ms / 1000
            one = ran[request.task_id]
            moments = [since(scene, at) for at in (accepted, one.starts[0][0], one.completed[-1])]
            tasks.append([request.body["priority"], *moments])
    return {"tasks": tasks, "sent": len(scene.sender.requests)}


def breaker(scene: Scene) -> Seen:
    """Fill the queue, drain it to half, and let callers come at once in each state of the circuit breaker."""
    scene.watch.every = 0.05
    body = rehearsal(0.05)
    groups = []

    def callers(count: int) -> None:
        began = since(scene)
        sent = scene.send([body] * count, client="plain")
        accepted = sum(one.outcome == "acknowledged" for one in sent)
        groups.append({"at": began, "sent": count, "accepted": accepted})

    frozen = [scene.inject(PAUSE, worker) for worker in WORKERS]
    scene.as_accepted(LIMIT, body, senders=12)
    scene.answered()
    filled = scene.sender.accepted
    callers(CALLERS)
    refusals = [posted(scene.stack.url, body) for _ in range(5)]
    for fault in frozen:
        scene.heal(fault)
    scene.wait(lambda: 0 < scene.watch.depths[-1][1] <= LIMIT // 2, 60, "half of the queue to drain")
    frozen = [scene.inject(PAUSE, worker) for worker in WORKERS]
    callers(CALLERS)
    for fault in frozen:
        scene.heal(fault)
    scene.wait(lambda: scene.watch.depths[-1][1] == 0, 60, "the queue to be empty")
    scene.wait(lambda: any(one["after"] == "closed" for one in transitions(scene)), 30, "the breaker to close")
    callers(CALLERS)
    finish(scene)
    return {
        "filled": filled,
        "groups": groups,
        "refusals": refusals,
        "transitions": transitions(scene),
        "depths": depths_of(scene),
        "ended": since(scene),
    }


TRIALS = (burst, urgent, breaker)


def finish(scene: Scene, seconds: float = FINISH_SECONDS) -> Mapping[str, str | None]:
    """Wait for all answers, and until every accepted task is final; return the tasks' states."""
    scene.answered()
    ids = [request.task_id for request in scene.sender.requests if request.task_id]
    with ThreadPoolExecutor(1) as thread:  # a notebook's own thread runs an event loop, which cannot have a second one
        return thread.submit(states_of, scene.stack, ids, seconds, lambda count: None).result()


def since(scene: Scene, moment: float | None = None) -> float:
    """Return seconds from the trial's beginning to a moment, or to now, in whole milliseconds."""
    return round((time.time() if moment is None else moment) - scene.began, 3)


def requests_of(scene: Scene) -> list[list[float | None]]:
    """Return each request's seconds, the milliseconds until its answer, and its status."""
    return [
        [since(scene, one.planned_at), round(one.ms or 0, 1), one.answer.status if one.answer else None]
        for one in scene.sender.requests
    ]


def runs_of(scene: Scene) -> list[list[str | float]]:
    """Return each finished run's worker, its start and its end."""
    return [
        [worker, since(scene, start), since(scene, end)]
        for ran in runs_in(scene.lines()).values()
        for (start, worker), end in zip(sorted(ran.starts), sorted(ran.completed), strict=False)
    ]


def depths_of(scene: Scene) -> list[list[float]]:
    """Return how many tasks waited, where that changed."""
    found: list[list[float]] = []
    looks = [[since(scene, at), float(depth)] for at, depth in scene.watch.depths]
    for number, look in enumerate(looks):
        if not found or look[1] != found[-1][1] or number == len(looks) - 1:
            found.append(look)
    return found


def transitions(scene: Scene) -> list[Seen]:
    """Return when the shared circuit breaker changed its state, and the ID of the request that caused it."""
    return [
        {"at": since(scene, line["ts"]), **{name: line.get(name) for name in ("before", "after", "request_id")}}
        for line in scene.lines()
        if line.get("breaker") == "admission"
    ]


def posted(url: str, body: Body) -> Seen:
    """POST once, as curl would; return the status, Retry-After, and the body's code and detail."""
    answer = httpx.post(f"{url}/api/v1/tasks", json=body, trust_env=False)
    told = answer.json()
    return {
        "status": answer.status_code,
        "retry_after": answer.headers.get("Retry-After"),
        "code": told.get("code"),
        "detail": told.get("detail"),
    }
