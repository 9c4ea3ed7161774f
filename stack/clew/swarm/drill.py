"""All that is done with a Swarm, under load, and the account: what clients were told, compared with what ran.

Clients know the front doors of all nodes, as with several addresses in DNS, and try again at the next one with the same
Idempotency-Key. Every tenth request asks for a calculation of the stage's own code: its trail gets longer while the
next stage rolls out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.drills import judge, saved
from clew.drills.account import Account, latencies, runs_in
from clew.drills.load import Plan, Sender, arrivals, rehearsal
from clew.drills.model import Check, Request, Result, exactly
from clew.drills.settle import states_at
from clew.evidence import client, logs
from clew.stacks.drivers import Say
from clew.swarm import control, nodes
from clew.swarm.cluster import API, IN_ORDER, READY_SECONDS, WORKER, Cluster, answers, by_service, wait_for
from taskqueue.contract import HOPS

NAME = "swarm"
CLAIM = "Nothing acknowledged is lost and nothing fails while a Swarm is scaled, updated, drained, and loses nodes."
SHOULD = (
    "Workers and API servers are scaled from 1 to 3 and to 6.",
    "Stage 5 replaces stage 3 task by task: trails of three hops become trails of five.",
    "A node is drained; another one, the leader without Redis, is killed.",
    "Then the node with Redis is killed, and comes back: requests wait, and nothing is lost.",
)
LONGEST_SECONDS = 900
PAUSE_SECONDS = 5
OUTAGE_SECONDS = 20  # longer than Swarm takes to notice
FROM_STAGE, TO_STAGE = 3, 5
DRAINED, KILLED = 2, 3
TASK_SECONDS = 0.05
STEPS, OUTAGE, TRAIL = "steps", "redis node", "trail"


@dataclass
class Step:
    """What was done, from when to when in seconds since the epoch, and what else was measured, in seconds."""

    name: str
    began: float
    ended: float = 0.0
    measured: dict[str, float] = field(default_factory=dict)

    def row(self, requests: Iterable[Request]) -> dict[str, Any]:
        """Return the step's figures: its seconds, and of the requests that were due meanwhile what became of them."""
        own = [one for one in requests if self.began <= one.planned_at < self.ended]
        return {
            "step": self.name,
            "seconds": round(self.ended - self.began, 1),
            "measured": {what: round(seconds, 1) for what, seconds in self.measured.items()},
            "requests": len(own),
            "tried_again": sum(len(one.attempts) > 1 for one in own),
            "failed": sum(one.outcome != "acknowledged" for one in own),
            "latency_ms": latencies(own),
        }


class Course:
    """The steps of a drill, one after the other, on a Swarm that is up; `cluster` is another one after an update."""

    def __init__(self, cluster: Cluster, seed: int, per_second: float, say: Say) -> None:
        self.cluster = cluster
        self.per_second = per_second
        self.say = say
        self.rng = random.Random(f"swarm/{seed}")
        # Keys of their own for each run: the Swarm still knows those of an earlier one.
        self.plan = Plan(random.Random(f"{seed}/{time.time()}"))
        self.sender = Sender(cluster.doors(), self.rng)
        self.steps: list[Step] = []

    def load(self, label: str) -> None:
        """Begin to send requests at random moments, until `end_early`."""
        now = time.time() + 0.3
        self.sender.begin(
            [self.request(now + at, label) for at in arrivals(self.rng, self.per_second, LONGEST_SECONDS)]
        )

    def request(self, at: float, label: str) -> Request:
        paced = label == STEPS  # after an outage everybody tries again, and being late shows nothing
        if self.rng.random() < 0.1:
            return self.plan.request(client.request_body(), at, "retrying", label=f"{label}, {TRAIL}", paced=paced)
        body = rehearsal(TASK_SECONDS, self.rng.choice(("high", "medium", "low")))
        return self.plan.request(body, at, "retrying", label=label, paced=paced)

    def step(self, name: str, act: Callable[[], object]) -> None:
        """Do something, note how long it took, and let the load go on for a moment."""
        self.say(f"{name}: {self.sender.accepted} accepted so far.")
        step = Step(name, time.time())
        measured = act()
        step.ended = time.time()
        if isinstance(measured, dict):
            step.measured.update(measured)
        self.steps.append(step)
        time.sleep(PAUSE_SECONDS)

    def all_steps(self) -> None:
        self.load(STEPS)
        time.sleep(PAUSE_SECONDS)
        for count in (3, 6):
            self.step(f"scale to {count} workers and {count} API servers", partial(self.scale, count))
        self.step(f"update from stage {FROM_STAGE} to stage {TO_STAGE}", self.update)
        self.step(f"drain node {DRAINED}", lambda: control.drain(self.cluster, f"node-{DRAINED}"))
        self.step(f"restore node {DRAINED}", lambda: control.restore(self.cluster, f"node-{DRAINED}"))
        self.step(f"kill node {KILLED}, which leads", lambda: control.kill(self.cluster, KILLED))
        self.step(f"restore node {KILLED}", lambda: control.restore(self.cluster, f"node-{KILLED}"))
        self.end()

    def lose_redis(self) -> None:
        """Kill the node that has Redis, and have it back: its disk has all that was acknowledged."""
        self.load(OUTAGE)
        time.sleep(PAUSE_SECONDS)
        self.step(f"kill node {nodes.WITH_REDIS}, which has Redis, for {OUTAGE_SECONDS} s", self.outage)
        self.end()

    def scale(self, count: int) -> None:
        control.scale(self.cluster, {WORKER: count, API: count})

    def update(self) -> None:
        self.cluster, _ = control.update(self.cluster, TO_STAGE, "", self.say)

    def outage(self) -> dict[str, float]:
        began = time.monotonic()
        nodes.kill(self.cluster.stack, nodes.WITH_REDIS)
        time.sleep(OUTAGE_SECONDS)
        nodes.start(self.cluster.stack, nodes.WITH_REDIS)
        started = time.monotonic() - began
        other = self.cluster.door(KILLED)
        wait_until(lambda: answers(other), READY_SECONDS, "Redis", "make swarm-status", every=0.2)
        accepting = time.monotonic() - began
        self.cluster.wait_ready(IN_ORDER)
        return {"engine back": started, "accepted again": accepting}

    def end(self) -> None:
        self.sender.end_early()
        self.sender.finish(120)


def run(cluster: Cluster, seed: int, per_second: float, say: Say) -> Result:
    """Do all steps on a Swarm of three nodes that is up with the first of the two stages, with so many requests.

    Raises:
        ClewError: it is not such a Swarm.
    """
    require(cluster)
    course = Course(cluster, seed, per_second, say)
    doubts: list[str] = []
    say("Scaling to 1 worker and 1 API server.")
    course.scale(1)
    wait_for(lambda: counted_running(cluster) == {WORKER: 1, API: 1}, "the others to end")
    began = time.time()
    try:
        course.all_steps()
        course.lose_redis()
    except ClewError as error:
        doubts.append(error.message)
        course.sender.end_early()
        course.sender.finish(120)
    requests = course.sender.requests
    say("Waiting for every accepted task to finish.")
    accepted = [one.task_id for one in requests if one.task_id]
    states = states_at(course.cluster.doors(), accepted, 120, lambda left: None)
    say("Reading the logs from the nodes' disks.")
    texts = by_service(nodes.logs(course.cluster.stack))
    lines = logs.parsed(texts, began)
    ids = {*accepted}
    runs = {name: ran for name, ran in runs_in(lines).items() if name in ids}
    account = Account(requests, runs, states, [], {}, lines)
    checks = checks_of(account, trails(requests, lines), course.steps)
    doubts += judge.doubts([], account)
    result = Result(
        name=NAME, on="durable", seed=seed, driver=cluster.name, short=False, claim=CLAIM, should=SHOULD, stock="",
        verdict=judge.verdict(checks, doubts, []), unknown=doubts, checks=checks, counts=account.counts(), faults=[],
        notes={"per_second": per_second, "steps": [step.row(requests) for step in course.steps]}, trail=[], began=began,
        seconds=round(time.time() - began, 1), folder=saved.new_folder(NAME, "durable", seed, began),
    )  # fmt: skip
    saved.save_result(result)
    saved.save_logs(result.folder, texts)
    saved.save_requests(result.folder, requests)
    return result


def counted_running(cluster: Cluster) -> dict[str, int]:
    """Return how many workers and API servers run, with those that are about to end."""
    tasks = cluster.rows("stack", "ps", "clew")
    names = [str(one["Name"]) for one in tasks if str(one["CurrentState"]).startswith("Running")]
    return {name: sum(name in one for one in names) for name in (WORKER, API)}


def require(cluster: Cluster) -> None:
    """Make sure that the drill can run here.

    Raises:
        ClewError: it cannot.
    """
    found = {} if cluster.yours else nodes.existing(cluster.stack)
    if sum(found.values()) != nodes.MANAGERS or cluster.stack.number != FROM_STAGE:
        raise ClewError(
            f"This drill needs three nodes that are containers here, all up, with stage {FROM_STAGE}.",
            f"make swarm-down swarm-up NODES=3 STAGE={FROM_STAGE}",
        )


def trails(requests: Iterable[Request], lines: Iterable[Line]) -> list[tuple[float, int]]:
    """Return, for each request for the stage's own code, when it was sent and how many hops its ID was kept at."""
    wanted = {one.correlation_id: one for one in requests if one.label.endswith(TRAIL) and one.task_id}
    kept: dict[str, set[str]] = {name: set() for name in wanted}
    for line in lines:
        if line.get("hop") in HOPS and line.get("correlation_id") in wanted:
            kept[line["correlation_id"]].add(line["hop"])
    return sorted((one.attempts[0].sent_at, len(kept[name])) for name, one in wanted.items())


def checks_of(account: Account, trails: Sequence[tuple[float, int]], steps: Sequence[Step]) -> list[Check]:
    """Return what must be so."""
    booked = account.only(STEPS)
    updates = [step for step in steps if step.name.startswith("update")]
    before = {hops for at, hops in trails if updates and at < updates[0].began}
    after = {hops for at, hops in trails if updates and at > updates[0].ended}
    return [
        exactly("lost: acknowledged, never finished as due", 0, len(account.lost)),
        exactly("failed: not accepted within 60 s, with a key", 0, len(account.requests) - len(account.acknowledged)),
        exactly("wrong state: the API contradicts the logs", 0, len(booked.wrong_state)),
        exactly("effects applied more than once", 0, sum(ran.effects > 1 for ran in account.runs.values())),
        exactly("hops of a trail before the update", {FROM_STAGE}, before),
        exactly("hops of a trail after the update", {TO_STAGE}, after),
        exactly("another leader after the kill", 1, sum("new leader" in step.measured for step in steps)),
    ]
