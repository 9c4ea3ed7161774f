"""What a stack must do so that nothing is wrong with it: requests of every kind, and whose ID each log line has."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clew import ladder
from clew.core.lines import Line
from clew.evidence import client, logs
from clew.evidence.trace import CLOCK_SLACK
from clew.stacks.drivers import Driver
from clew.stacks.services import API_SERVERS, NGINX
from clew.stacks.stack import Stack

CROWD = 24  # more than there are processes, so that each is used again
LINES_SECONDS = 15
HOPS_WITHOUT_TASK = ladder.HOPS[:3]


@dataclass(frozen=True)
class Wrong:
    """A log line that has not its request's ID, or an ID that a hop never logged (`found` is None then)."""

    hop: str
    sent: str
    found: str | None

    def __str__(self) -> str:
        return f"{self.hop}: {self.sent} became {self.found or 'no ID'}"


def fresh_id(length: int = 14) -> str:
    """Return an ID with capital and small letters and digits; no two are the same."""
    return ("Mystery-" + secrets.token_hex(64).replace("a", "Q").replace("c", "Z"))[:length]


def probe(stack: Stack, driver: Driver) -> list[Wrong]:
    """Send requests of every type, long IDs, past nginx to each server, one that is retried, and a crowd at once;
    return what is wrong in the logs.

    Raises:
        ClewError: the stack does not answer, or a task does not end.
    """
    began = time.time()
    told: dict[str, str] = {}
    past_nginx: set[str] = set()

    def send(task_type: str, service: str = NGINX, length: int = 18) -> None:
        answer = client.send_task(stack, fresh_id(length), client.request_body(task_type), service)
        told[answer.task_id] = answer.sent_id
        if service != NGINX:
            past_nginx.add(answer.sent_id)

    types = list(client.SAMPLES)
    for task_type in types:
        send(task_type, length=64)
    for server in API_SERVERS:
        send("calculate_var", server)
        send("stress_test", server)
    with ThreadPoolExecutor(CROWD) as crowd:
        list(crowd.map(send, [types[number % 4] for number in range(CROWD)]))
    for task_id in told:
        client.result(stack, task_id)
    lines = logs.of_tasks(driver, began - CLOCK_SLACK, told, LINES_SECONDS, stack.command("status"))
    return wrong(lines, told, past_nginx)


def wrong(lines: Sequence[Line], told: dict[str, str], past_nginx: Collection[str] = ()) -> list[Wrong]:
    """Return what is wrong: a task's line with another ID than its request's, and an ID that a hop before the tasks did
    not log. `told` has the ID that was sent for each task ID, `past_nginx` those that nginx never saw."""
    found = [
        Wrong(str(line.get("hop") or "worker"), told[line["task_id"]], line["correlation_id"])
        for line in lines
        if line.get("task_id") in told and "correlation_id" in line and line["correlation_id"] != told[line["task_id"]]
    ]
    for hop in HOPS_WITHOUT_TASK:
        logged = {line.get("correlation_id") for line in lines if line.get("hop") == hop}
        expected = [sent for sent in told.values() if hop != "nginx" or sent not in past_nginx]
        found += [Wrong(hop, sent, None) for sent in expected if sent not in logged]
    return found
