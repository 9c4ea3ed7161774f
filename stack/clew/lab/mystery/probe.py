"""What a stack must do so that nothing is wrong with it: requests of every kind, and whose ID each hop logged."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import client, logs
from clew.evidence.trace import CLOCK_SLACK
from clew.stacks.drivers import Driver
from clew.stacks.services import API_SERVERS, NGINX
from clew.stacks.stack import Stack
from taskqueue.contract import VALID_ID

CROWD = 24  # more than there are processes, so that each is used again
LINES_SECONDS = 15
OVERLOADED, MORE_TRIES = (503, 504), 2  # a slow machine refuses some of a crowd; that says nothing about IDs
LONGEST = 128
UNUSABLE = ("not one, but three words", "x" * (LONGEST + 1))
ANSWER = "answer"
HOPS_WITH_TASK = ladder.HOPS[3:]


@dataclass(frozen=True)
class Sent:
    """A request that was accepted: the ID that the client sent, empty for none, and the one in the answer."""

    sent: str
    answered: str
    task_id: str
    past_nginx: bool = False

    @property
    def wanted(self) -> str:
        """The ID that every hop must log: the client's, or the one that was made for the request."""
        return self.sent if VALID_ID.fullmatch(self.sent) else self.answered


@dataclass(frozen=True)
class Wrong:
    """The first place where a request has not its ID, a hop or the answer. `found` is empty for a line without an ID,
    None where no line can be told to be the request's."""

    hop: str
    wanted: str
    found: str | None

    def __str__(self) -> str:
        if self.hop == ANSWER:
            return f"a request with {self.wanted or 'no ID'} was answered with {self.found or 'no ID'}"
        if self.found is None:
            return f"{self.hop}: no line has {self.wanted}"
        return f"{self.hop}: {self.wanted} became {self.found or 'no ID'}"


def fresh_id(length: int = 24) -> str:
    """Return an ID with every kind of character that is allowed; no two are the same."""
    return ("Mystery_1.-" + secrets.token_hex(64).replace("a", "Q").replace("c", "Z"))[:length]


def probe(stack: Stack, driver: Driver) -> list[Wrong]:
    """Send requests of every type, the longest IDs, past nginx to each server, one that is retried, some without a
    usable ID, and a crowd at once; return what is wrong.

    Raises:
        ClewError: the stack does not answer, or a task does not end or fails.
    """
    began = time.time()

    def send(task_type: str, sent_id: str | None = None, service: str = NGINX, header: bool = True) -> Sent:
        body = client.request_body(task_type)
        answer = client.send(stack, sent_id or fresh_id(), body, service, header=header)
        for _ in range(MORE_TRIES):
            if answer.status_code not in OVERLOADED:
                break
            answer = client.send(stack, sent_id or fresh_id(), body, service, header=header)
        if answer.status_code != 201:
            raise client.refused(stack, answer)
        return Sent(answer.sent_id, answer.answered_id, answer.task_id, service != NGINX)

    types = list(client.SAMPLES)
    requests = [send(task_type, fresh_id(LONGEST)) for task_type in types]
    requests += [send(kind, service=server) for server in API_SERVERS for kind in ("calculate_var", "stress_test")]
    requests += [send("calculate_var", sent_id) for sent_id in UNUSABLE]
    requests += [send("calculate_var", header=False) for _ in range(2)]
    with ThreadPoolExecutor(CROWD) as crowd:
        requests += crowd.map(send, [types[number % 4] for number in range(CROWD)])
    for one in requests:
        state = client.result(stack, one.task_id)
        if state["status"] != "SUCCESS":
            raise ClewError(f"Task {one.task_id} ended as {state['status']}: {state['error']}", stack.command("logs"))
    since = began - CLOCK_SLACK
    try:
        lines = logs.of_tasks(driver, since, [one.task_id for one in requests], LINES_SECONDS, stack.command("status"))
    except ClewError:  # an edit may have taken lines away; then what is there is judged
        lines = logs.read(driver, since)
    return wrong(lines, requests)


def wrong(lines: Sequence[Line], requests: Sequence[Sent]) -> list[Wrong]:
    """Return what is wrong, of each request the first thing on its way: a hop that has no line with its ID, a line of
    its task with another ID, or an answer with an ID that is not its own."""
    found: list[Wrong] = []
    made: set[str] = set()
    for one in requests:
        if problem := _wrong(lines, one):
            found.append(problem)
        elif one.answered != one.sent and one.answered in made:
            found.append(Wrong(ANSWER, one.sent, one.answered))
        made.add(one.answered)
    return found


def _wrong(lines: Sequence[Line], one: Sent) -> Wrong | None:
    if not VALID_ID.fullmatch(one.answered):
        return Wrong(ANSWER, one.sent, one.answered)
    of_task = [line for line in lines if line.get("task_id") == one.task_id and "correlation_id" in line]
    for hop in ladder.HOPS[int(one.past_nginx) :]:
        of_hop = [line for line in (of_task if hop in HOPS_WITH_TASK else lines) if line.get("hop") == hop]
        logged = [line.get("correlation_id") for line in of_hop]
        if one.wanted not in logged:
            return Wrong(hop, one.wanted, str(logged[0] or "") if logged and hop in HOPS_WITH_TASK else None)
    for line in of_task:
        if line["correlation_id"] != one.wanted:
            return Wrong(str(line.get("hop") or "worker"), one.wanted, str(line["correlation_id"] or ""))
    return Wrong(ANSWER, one.wanted, one.answered) if one.answered != one.wanted else None
