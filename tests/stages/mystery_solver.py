"""A script that solves mysteries with what a learner has: requests of its own, and the nine logs. It knows the causes
to choose from, and how the five layers hand on; it never reads what a mystery's seed draws, nor the mystery's files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from clew import ladder
from clew.evidence import client, logs
from clew.evidence.trace import CLOCK_SLACK, find_hops
from clew.stacks.drivers import Driver
from clew.stacks.services import API_SERVERS
from clew.stacks.stack import Stack

CROWD = 24
TRIES = 12  # of a type of task, until each server has had it
TYPES = ("calculate_var", "monte_carlo_pricing", "portfolio_optimization", "stress_test", "rehearsal")


@dataclass(frozen=True)
class Step:
    """What one layer was given and what it handed on, for one request."""

    hop: str
    given: str | None
    handed_on: str | None
    task_type: str
    service: str
    alone: bool = True
    run: int = 1  # of a task that is retried


def steps_of(stack: Stack, driver: Driver) -> list[Step]:
    """Send requests and return what each layer did with each."""
    found: list[Step] = []
    for task_type in TYPES:
        seen: set[str] = set()
        for number in range(TRIES):
            steps = alone(stack, driver, f"Solver-{number}-{task_type}-{'Xx' * 20}", task_type)
            found += steps
            server = steps[ladder.HOPS.index("queue-service")].service
            if server in seen:  # the servers take turns, and as many requests as servers may lie between two tasks
                client.send(stack, f"Turn-{number}")
            seen.add(server)
            if number >= 2 and len(seen) == len(API_SERVERS):
                break
    return found + crowd(stack, driver)


def alone(stack: Stack, driver: Driver, sent_id: str, task_type: str) -> list[Step]:
    """Send one request while nothing else is under way."""
    began = time.time()
    answer = client.send_task(stack, sent_id, client.request_body(task_type))
    client.result(stack, answer.task_id)
    lines = logs.of_tasks(driver, began - CLOCK_SLACK, [answer.task_id], 15, "make mystery status")
    given: str | None = sent_id
    found = []
    for hop in find_hops(lines, answer)[0][:4]:
        found.append(Step(hop.hop, given, hop.id, task_type, str(hop.service)))
        given = hop.id
    runs = [line for line in lines if line.get("task_id") == answer.task_id and line.get("hop") == "worker"]
    return found + [
        Step("worker", given, line["correlation_id"], task_type, str(line["service"]), run=run)
        for run, line in enumerate(runs, 1)
    ]


def crowd(stack: Stack, driver: Driver) -> list[Step]:
    """Send requests at once. Only lines with a task ID are looked at, and of the queue service only those with another
    request's ID: what it was given is not known here."""
    began = time.time()
    with ThreadPoolExecutor(CROWD) as clients:
        bodies = {f"crowd-{number}": client.request_body(TYPES[number % 4]) for number in range(CROWD)}
        answers = list(clients.map(lambda one: accepted(stack, *one), bodies.items()))
    for answer in answers:
        client.result(stack, answer.task_id)
    tasks = [answer.task_id for answer in answers]
    lines = logs.of_tasks(driver, began - CLOCK_SLACK, tasks, 15, "make mystery status")
    sent_ids = {answer.sent_id for answer in answers}
    found = []
    for answer in answers:
        given: str | None = answer.sent_id
        task_type = bodies[answer.sent_id]["task_type"]
        for line in lines:
            if line.get("task_id") == answer.task_id and line.get("hop") in ("queue-service", "worker"):
                logged = line["correlation_id"]
                if line["hop"] == "worker" or logged in sent_ids - {given}:
                    found.append(Step(line["hop"], given, logged, task_type, str(line["service"]), alone=False))
                given = logged
    return found


def accepted(stack: Stack, sent_id: str, body: dict[str, Any]) -> client.Answer:
    """Send a request, again if an overloaded stack refuses it, as a client would."""
    for _ in range(2):
        answer = client.send(stack, sent_id, body)
        if answer.status_code not in (503, 504):
            break
    return answer if answer.status_code == 201 else client.send_task(stack, sent_id, body)


def causes(steps: list[Step]) -> dict[str, str]:
    """Return the cause for each layer in which something is wrong."""
    found = {}
    for hop in ladder.HOPS:
        own = [step for step in steps if step.hop == hop and step.given]
        wrong = [step for step in own if step.handed_on != step.given]
        if wrong:
            found[hop] = cause(own, wrong)
    return found


def cause(own: list[Step], wrong: list[Step]) -> str:
    """Return what is wrong with a layer, from what it did."""
    changed = [step for step in wrong if step.handed_on]
    if not changed:
        if len(wrong) == len(own):
            return "dropped"
        if all(step.run > 1 for step in wrong):
            return "retry"
        types = {step.task_type for step in wrong}
        all_of_type = len(types) == 1 and all(step in wrong for step in own if step.task_type in types)
        return "one-type" if all_of_type else "one-replica"
    if all(step.handed_on == str(step.given)[:32] for step in changed):
        return "cut"
    if all(step.handed_on == str(step.given).lower() for step in changed):
        return "lower-case"
    if all(not step.alone for step in changed):
        return "swapped"
    return "reuse" if own[0].hop == "worker" else "replaced"


def repair(stack: Stack, hops: Iterable[str]) -> None:
    """Put our file of stage 5 in the place of each layer's."""
    for layer in ladder.LAYERS:
        if layer.hop in hops:
            shutil.copyfile(ladder.source(layer, fixed=True), stack.folder / layer.file)
