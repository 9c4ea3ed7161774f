"""What the working copy does: requests are sent to it, and its log lines read. Nothing here reads the file."""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clew import ladder
from clew.core import processes
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import client, logs, message
from clew.evidence.trace import CLOCK_SLACK, Hop, find_hops
from clew.stacks.drivers import Driver, driver_of
from clew.stacks.services import API_SERVERS, NGINX, REDIS
from clew.stacks.stack import Stack

TASK_SECONDS = 8
LINES_SECONDS = 2
CALLER = Path(__file__).parent / "caller.py"
UNUSABLE = 'x" injected="yes'
AT_ONCE = ("calculate_var", "stress_test")  # the types of the two requests that are in flight at the same time
ALONE, WITHOUT_ID = "portfolio_optimization", "monte_carlo_pricing"


@dataclass(frozen=True)
class Asked:
    """One request and its outcome. `sent` is the ID that the client sent, empty for none; `state` the task's
    final state, None when it never got one; `through` the service that it was sent to."""

    answer: client.Answer
    task_type: str
    through: str = NGINX
    state: str | None = None
    error: str = ""

    @property
    def sent(self) -> str:
        return self.answer.sent_id

    @property
    def accepted(self) -> bool:
        return self.answer.status_code == 201

    @property
    def task_id(self) -> str:
        return self.answer.task_id if self.accepted else ""

    @property
    def wanted(self) -> str:
        """The ID that every layer is to hand on: the client's, or the one that was made for it."""
        return self.sent if self.sent and self.sent != UNUSABLE else self.answer.answered_id


@dataclass
class Seen:
    """Requests and the log lines of their time. `whole`: the later layers were fixed while they were sent. `called` is
    what `caller.py` says, `called_id` the ID that it used; `opened` a message as it was on its queue."""

    number: int
    asked: list[Asked]
    lines: list[Line]
    whole: bool = False
    hops: list[Hop] = field(default_factory=list)
    called: dict[str, Any] | None = None
    called_id: str = ""
    opened: dict[str, Any] | None = None

    @property
    def hop(self) -> str:
        return ladder.HOPS[self.number - 1]

    def of(self, hop: str) -> list[Line]:
        """Return a layer's lines about requests for a task."""
        return [line for line in self.lines if line.get("hop") == hop and line.get("method", "POST") == "POST"]

    def handed_on(self, hop: str) -> list[str]:
        """Return the IDs of a layer's lines, empty where a line has none."""
        called = set(self.called["tasks"]) if self.called else set()
        return [str(line.get("correlation_id") or "") for line in self.of(hop) if line.get("task_id") not in called]

    def of_task(self, hop: str, task_id: str) -> list[str]:
        """Return the IDs of a layer's lines about one task, empty where a line has none."""
        return [str(line.get("correlation_id") or "") for line in self.of(hop) if line.get("task_id") == task_id]

    @property
    def call_errors(self) -> list[str]:
        """Why the other caller failed, or the tasks that it made."""
        return [str(error) for error in self.called["errors"]] if self.called else []

    @property
    def received(self) -> list[str]:
        """The IDs that the API servers got with requests for a task."""
        return [
            str(line.get("request_id") or "")
            for line in self.lines
            if line["service"] in API_SERVERS and line.get("method") == "POST" and "status_code" in line
        ]

    def server_error(self, asked: Asked) -> str:
        """Return the error that a server logged for a request that was not accepted, in one line."""
        for line in self.lines:
            if "exception" in line and line.get("request_id") in (asked.wanted, asked.answer.answered_id):
                return str(line["exception"]).strip().splitlines()[-1]
        errors = [str(line["exception"]).strip().splitlines()[-1] for line in self.lines if "exception" in line]
        return errors[-1] if errors else str(asked.answer.body.get("detail", "")).rstrip(".")


def fresh_id() -> str:
    return f"try-{secrets.token_hex(4)}"


def fresh_body(task_type: str) -> dict[str, Any]:
    """Return the body of a request whose data are other ones each time."""
    data = json.loads(json.dumps(client.REQUESTS[task_type]))
    some = secrets.randbelow(900) + 100
    if "portfolio_data" in data:
        data["portfolio_data"]["positions"][0]["quantity"] = some
    elif "option" in data:
        data["option"]["strike"] = float(some)
    else:
        data["assets"][0]["expected_return"] = some / 10_000
    return client.request_body(task_type, data)


def look(stack: Stack, driver: Driver, number: int, whole: bool = False) -> Seen:
    """Send the requests that show whether layer `number` does its work, wait for their tasks, and read the logs.

    First two requests at the same time, one alone and one without an ID. When the later layers are fixed (`whole`): two
    at the same time, and what asks the layer in another way than a usual client.

    Raises:
        ClewError: the stack does not answer.
    """
    began = time.time()
    answered = _at_once(stack)
    called_id, called = "", None
    if not whole:
        alone = client.send(stack, fresh_id(), fresh_body(ALONE))
        answered += [(alone, ALONE, NGINX)]
        if number == 1:
            answered += [(client.send(stack, UNUSABLE, fresh_body(AT_ONCE[0])), AT_ONCE[0], NGINX)]
        answered += [(client.send(stack, body=fresh_body(WITHOUT_ID), header=False), WITHOUT_ID, NGINX)]
    if (whole or number == len(ladder.LAYERS)) and number > 2:
        called_id = fresh_id()
        called = _called(stack, ladder.HOPS[min(number, 4) - 1], called_id)
    if whole and number == 2:
        past = API_SERVERS[0]
        answered += [(client.send(stack, body=fresh_body(AT_ONCE[0]), service=past, header=False), AT_ONCE[0], past)]
    asked = [_ended(stack, *one) for one in answered]
    called_tasks = called["tasks"] if called else []
    if called:
        called["errors"] += [state["error"] for task in called_tasks if (state := _state(stack, task)).get("error")]
    ran = [one.task_id for one in asked if one.state == "SUCCESS"] + (
        [] if called and called["errors"] else called_tasks
    )
    lines = _lines(driver, began, ran)
    seen = Seen(number, asked, lines, whole, called=called, called_id=called_id)
    shown = next((one.answer for one in asked if one.task_type == ALONE and one.accepted), None)
    if shown is not None:
        seen.hops = find_hops(lines, shown)[0]
    return seen


def open_message(stack: Stack, seen: Seen) -> None:
    """Send one more request, and keep its message as it is on the queue."""
    seen.opened = message.message(stack, fresh_id(), fresh_body(AT_ONCE[0]))


def _at_once(stack: Stack) -> list[tuple[client.Answer, str, str]]:
    gate = threading.Barrier(len(AT_ONCE))

    def send(task_type: str) -> tuple[client.Answer, str, str]:
        body = fresh_body(task_type)
        gate.wait(client.ANSWER_SECONDS)
        return client.send(stack, fresh_id(), body), task_type, NGINX

    with ThreadPoolExecutor(len(AT_ONCE)) as clients:
        return list(clients.map(send, AT_ONCE))


def _called(stack: Stack, hop: str, sent_id: str) -> dict[str, Any]:
    """Return what the other caller of a layer says; it speaks to the Redis of the stack."""
    login = f"api:{driver_of(stack).password('api')}"
    environment = {"REDIS_URL": f"redis://{login}@127.0.0.1:{stack.ports[REDIS]}/0", "SERVICE_NAME": "another-caller"}
    command = [sys.executable, "-I", str(CALLER), str(stack.folder), hop, sent_id]
    result = processes.run(command, TASK_SECONDS, separate=True, env=environment)
    try:
        found: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    except (ValueError, IndexError):
        return {"tasks": [], "errors": [processes.tail(result.errors, 1)]}
    return found


def _ended(stack: Stack, answer: client.Answer, task_type: str, through: str) -> Asked:
    if answer.status_code != 201:
        return Asked(answer, task_type, through)
    state = _state(stack, answer.task_id)
    return Asked(answer, task_type, through, state.get("status"), str(state.get("error") or ""))


def _state(stack: Stack, task_id: str) -> dict[str, Any]:
    """Return a task's final state; nothing when it has none in time."""
    try:
        return client.result(stack, task_id, TASK_SECONDS)
    except ClewError:
        return {}


def _lines(driver: Driver, began: float, succeeded: Sequence[str]) -> list[Line]:
    """Return the lines since `began`, once the last ones of the tasks that succeeded are there, or after a while."""
    since = began - CLOCK_SLACK
    try:
        return logs.of_tasks(driver, since, succeeded, LINES_SECONDS, "")
    except ClewError:  # a learner's change may have taken them away: then what is there is judged
        return logs.read(driver, since)
