"""What the working copy does: requests are sent to it, and its log lines read. Nothing here reads the file."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import redis
from clew import ladder
from clew.core import processes
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import Deadline
from clew.evidence import client, logs, message
from clew.evidence.trace import CLOCK_SLACK, Hop, find_hops
from clew.lab.exercises import SENT_IDS
from clew.stacks import ready
from clew.stacks.drivers import Driver, driver_of
from clew.stacks.services import API_SERVERS, NGINX, REDIS
from clew.stacks.stack import Stack
from taskqueue.contract import FINAL_STATES, HEADER, LEDGER_RUNNING_KEY, LEDGER_TASKS_KEY, QUEUES, VALID_ID

TASK_SECONDS = 8
LINES_SECONDS = 2
NO_MESSAGE_SECONDS = 1.5  # a worker sends a message again that is gone, but not as soon as this
CALLER = Path(__file__).parent / "caller.py"
CROWD, MORE = 8, 40  # requests at the same time to one API server, so that what they share in its process is seen
AT_ONCE = ("calculate_var", "stress_test")  # their types
ALONE, WITHOUT_ID = "portfolio_optimization", "monte_carlo_pricing"
TOO_BUSY = (429, 503, 504)  # on a busy machine: says nothing about the layer, so the request is sent again
TRIES = 4
UNACKED = "unacked"  # kombu's hash of the messages that a worker has and did not acknowledge
Request = tuple[str | None, dict[str, Any], str]  # an ID, None for no header; a body; the service that it is sent to


@dataclass(frozen=True)
class Asked:
    """One request and its outcome. `sent` is the ID that the client sent, empty for none; `state` the task's
    final state, None when it never got one; `through` the service that it was sent to; `given_up` the IDs that were
    answered when the stack was too busy for it."""

    answer: client.Answer
    task_type: str
    through: str = NGINX
    state: str | None = None
    error: str = ""
    given_up: tuple[str, ...] = ()

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
        return self.sent if self.usable else self.answer.answered_id

    @property
    def usable(self) -> bool:
        return VALID_ID.fullmatch(self.sent) is not None


@dataclass(frozen=True)
class Called:
    """What another caller of the layer got: it handed over the same data twice, first with `sent_id`, then without an
    ID. `returned` is what the layer returned to each, `errors` why a call failed, or a task that it led to; `ran` are
    the tasks that succeeded."""

    sent_id: str
    returned: list[str | None]
    errors: list[str]
    ran: list[str]

    @property
    def tasks(self) -> list[str]:
        return [task for task in self.returned if task]


@dataclass
class Seen:
    """Requests and the log lines of their time. `whole`: the later layers were fixed while they were sent.

    `opened` is a message as it was on its queue, `in_ledger` the sent ID of a request and the ID that its task had in
    the ledger. `unsent`: an accepted task had no message."""

    number: int
    asked: list[Asked]
    lines: list[Line]
    whole: bool = False
    hops: list[Hop] = field(default_factory=list)
    called: Called | None = None
    opened: dict[str, Any] | None = None
    in_ledger: tuple[str, str | None] | None = None
    unsent: bool = False

    @property
    def hop(self) -> str:
        return ladder.HOPS[self.number - 1]

    def of(self, hop: str) -> list[Line]:
        """Return a layer's lines about requests for a task."""
        return [line for line in self.lines if line.get("hop") == hop and line.get("method", "POST") == "POST"]

    def handed_on(self, hop: str) -> list[str]:
        """Return the IDs of a layer's lines, empty where a line has none; without those of the other caller's tasks and
        of what was sent again."""
        called = self.called.tasks if self.called else []
        given_up = {found for one in self.asked for found in one.given_up} - {"", *(one.wanted for one in self.asked)}
        lines = [line for line in self.of(hop) if line.get("task_id") not in called]
        found = [str(line.get("correlation_id") or "") for line in lines]
        return [one for one in found if one not in given_up]

    def of_task(self, hop: str, task_id: str) -> list[str]:
        """Return the IDs of a layer's lines about one task, empty where a line has none."""
        return [str(line.get("correlation_id") or "") for line in self.of(hop) if line.get("task_id") == task_id]

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

    First many requests at the same time, one alone and one without an ID. When the later layers are fixed (`whole`):
    many at the same time, and what asks the layer in another way than a usual client.

    Raises:
        ClewError: the stack does not answer.
    """
    began = time.time()
    asked = _send(stack, _crowd(number, whole))
    called, in_ledger = None, None
    if not whole:
        asked += _send(stack, [(fresh_id(), fresh_body(ALONE), NGINX)])
        asked += _send(stack, [(None, fresh_body(WITHOUT_ID), NGINX)])
    if whole and number == 2:
        asked += _send(stack, [(None, fresh_body(AT_ONCE[0]), API_SERVERS[0])])
    if whole and number == 4:
        slow, in_ledger = _id_in_ledger(stack)
        asked.append(slow)
    if (whole or number == len(ladder.LAYERS)) and number > 2:
        called = _called(stack, ladder.HOPS[min(number, 4) - 1], fresh_id())
    waiting = [one.task_id for one in asked if one.task_id] + (called.tasks if called else [])
    deadline = Deadline(TASK_SECONDS)
    unsent = number == 4 and _have_no_message(stack, waiting, deadline)
    states = _states(stack, waiting, Deadline(0) if unsent else deadline)
    asked = [_with_state(one, states.get(one.task_id, {})) for one in asked]
    if called:
        called.errors.extend(str(states[task]["error"]) for task in called.tasks if states[task].get("error"))
        called.ran.extend(task for task in called.tasks if states[task].get("status") == "SUCCESS")
    ran = [one.task_id for one in asked if one.state == "SUCCESS"] + (called.ran if called else [])
    lines = _lines(driver, began, ran)
    seen = Seen(
        number, asked, lines, whole, called=called, in_ledger=in_ledger, unsent=unsent or _sent_again(lines, waiting)
    )
    shown = next((one.answer for one in asked if one.task_type == ALONE and one.accepted), None)
    if shown is not None:
        seen.hops = find_hops(lines, shown)[0]
    return seen


def open_message(stack: Stack, seen: Seen) -> None:
    """Send one more request, and keep its message as it is on the queue."""
    seen.opened = message.message(stack, fresh_id(), fresh_body(AT_ONCE[0]))


def _crowd(number: int, whole: bool) -> list[Request]:
    """Return requests to send at the same time: to nginx with all kinds of IDs, to any other layer in one server."""
    if number == 1:
        sent_ids = [fresh_id(), fresh_id(), *(sent for sent, *_ in SENT_IDS if "\n" not in sent)]
        return [(sent_id, fresh_body(AT_ONCE[0]), NGINX) for sent_id in sent_ids]
    bodies = [fresh_body(AT_ONCE[one % 2]) for one in range(CROWD)]
    if not whole and number < len(ladder.LAYERS):  # the task that takes no time is not in a learner's worker
        bodies += [client.request_body("rehearsal", {}) for _ in range(MORE)]
    return [(fresh_id(), body, API_SERVERS[0]) for body in bodies]


def _send(stack: Stack, requests: Sequence[Request]) -> list[Asked]:
    """Send requests at the same time; those for which the stack is too busy are sent again.

    Raises:
        ClewError: the stack does not answer.
    """
    asked = _send_once(stack, requests)
    for _ in range(TRIES - 1):
        busy = [index for index, one in enumerate(asked) if one.answer.status_code in TOO_BUSY]
        if not busy:
            break
        time.sleep(0.3)
        for index, again in zip(busy, _send_once(stack, [requests[index] for index in busy]), strict=True):
            before = asked[index]
            asked[index] = replace(again, given_up=(*before.given_up, before.answer.answered_id))
    return asked


def _send_once(stack: Stack, requests: Sequence[Request]) -> list[Asked]:
    """Send requests so that their last bytes, without which none begins, arrive at the same time.

    Raises:
        ClewError: the stack does not answer.
    """
    with contextlib.ExitStack() as opened:
        sending = []
        for sent_id, body, through in requests:
            connection = HTTPConnection("127.0.0.1", stack.ports[through], timeout=client.ANSWER_SECONDS)
            sending.append((opened.enter_context(contextlib.closing(connection)), json.dumps(body).encode(), sent_id))
        try:
            for connection, content, sent_id in sending:
                connection.putrequest("POST", "/api/v1/tasks")
                for name, value in (("Content-Type", "application/json"), ("Content-Length", len(content))):
                    connection.putheader(name, value)
                if sent_id is not None:
                    connection.putheader(HEADER, sent_id.encode())
                connection.endheaders(content[:-1])
            began = time.time()
            for connection, content, _ in sending:
                connection.send(content[-1:])
            return [
                Asked(_answer(connection, sent_id or "", began), body["task_type"], through)
                for (connection, *_), (sent_id, body, through) in zip(sending, requests, strict=True)
            ]
        except (OSError, HTTPException) as error:
            raise ClewError(f"{stack.title} does not answer: {error or 'no data'}.", stack.command("status")) from None


def _answer(connection: HTTPConnection, sent_id: str, began: float) -> client.Answer:
    found = connection.getresponse()
    text = found.read().decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    body = body if isinstance(body, dict) else {"detail": text[:500]}
    return client.Answer(sent_id, began, (time.time() - began) * 1000, found.status, found.getheader(HEADER, ""), body)


def _id_in_ledger(stack: Stack) -> tuple[Asked, tuple[str, str | None]]:
    """Send a request whose task takes a while; return it, its ID, and the ID that the task has in the ledger meanwhile.

    Raises:
        ClewError: Redis does not answer.
    """
    sent_id = fresh_id()
    for seconds in (0.5, 3):  # the task must not end before it is looked at
        body = client.request_body("rehearsal", {"seconds": seconds})
        (asked,) = _send(stack, [(sent_id, body, NGINX)])
        with _redis(stack) as ledger:
            entry = ledger.hget(LEDGER_TASKS_KEY, asked.task_id)
        if entry is not None:
            return asked, (sent_id, json.loads(str(entry))[1].get("correlation_id"))
    return asked, (sent_id, None)


def _have_no_message(stack: Stack, tasks: Sequence[str], deadline: Deadline) -> bool:
    """Wait until one of these tasks has begun; tell whether none did because none has a message: all are accepted,
    nobody runs them, and nothing is on a queue or with a worker.

    Raises:
        ClewError: Redis does not answer.
    """
    since = time.monotonic()
    with _redis(stack) as ledger:
        while tasks and deadline.left:
            with ledger.pipeline() as pipeline:
                pipeline.hmget(LEDGER_TASKS_KEY, tasks)
                pipeline.hmget(LEDGER_RUNNING_KEY, tasks)
                pipeline.hlen(UNACKED)
                for queue in QUEUES:
                    pipeline.llen(queue)
                entries, owners, *messages = pipeline.execute()
            if None in entries or any(owners) or any(messages):
                break
            if time.monotonic() - since > NO_MESSAGE_SECONDS:
                return True
            time.sleep(0.03)
    return False


def _sent_again(lines: Sequence[Line], tasks: Sequence[str]) -> bool:
    """Tell whether a worker has sent the message of one of these tasks because nobody had tried to send one."""
    tried = {line.get("task_id") for line in lines if str(line["message"]).startswith("Message not sent")}
    again = {line.get("task_id") for line in lines if line["message"] == "Sent again: its message is gone"}
    return bool(again & set(tasks) - tried)


@contextlib.contextmanager
def _redis(stack: Stack) -> Iterator[redis.Redis]:
    try:
        with ready.redis_client(stack) as connected:
            yield connected
    except redis.RedisError as error:
        raise ClewError(f"Redis does not answer: {str(error).rstrip('.')}.", stack.command("status")) from None


def _called(stack: Stack, hop: str, sent_id: str) -> Called:
    """Return what the other caller of a layer got; it speaks to the Redis of the stack."""
    login = f"api:{driver_of(stack).password('api')}"
    environment = {"REDIS_URL": f"redis://{login}@127.0.0.1:{stack.ports[REDIS]}/0", "SERVICE_NAME": "another-caller"}
    command = [sys.executable, "-I", str(CALLER), str(stack.folder), hop, sent_id]
    result = processes.run(command, TASK_SECONDS, separate=True, env=environment)
    try:
        found: dict[str, Any] = json.loads(result.output.splitlines()[-1])
    except (ValueError, IndexError):
        return Called(sent_id, [], [processes.tail(result.errors, 1)], [])
    return Called(sent_id, found["returned"], [found["error"]] if found["error"] else [], [])


def _with_state(asked: Asked, state: dict[str, Any]) -> Asked:
    return replace(asked, state=state.get("status"), error=str(state.get("error") or ""))


def _states(stack: Stack, tasks: Sequence[str], deadline: Deadline) -> dict[str, dict[str, Any]]:
    """Return each task's final state; nothing for one that has none in time."""
    states: dict[str, dict[str, Any]] = {}
    with contextlib.closing(HTTPConnection("127.0.0.1", stack.port, timeout=client.ANSWER_SECONDS)) as connection:
        for task in tasks:
            state = _final_state(connection, task)
            while state is None and deadline.left:
                time.sleep(0.03)
                state = _final_state(connection, task)
            states[task] = state or {}
    return states


def _final_state(connection: HTTPConnection, task: str) -> dict[str, Any] | None:
    """Return a task's final state, nothing in it if nobody knows the task; None while it has none."""
    try:
        connection.request("GET", f"/api/v1/tasks/{task}")
        found = connection.getresponse()
        state: dict[str, Any] = json.loads(found.read())
    except (OSError, HTTPException, ValueError):
        connection.close()  # the next request opens it again
        return None
    return {} if found.status == 404 else state if state.get("status") in FINAL_STATES else None


def _lines(driver: Driver, began: float, succeeded: Sequence[str]) -> list[Line]:
    """Return the lines since `began`, once the last ones of the tasks that succeeded are there, or after a while."""
    since = began - CLOCK_SLACK
    try:
        return logs.of_tasks(driver, since, succeeded, LINES_SECONDS, "")
    except ClewError:  # a learner's change may have taken them away: then what is there is judged
        return logs.read(driver, since)
