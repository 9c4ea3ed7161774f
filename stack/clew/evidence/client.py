"""Sending a request as a learner would, and waiting for its result."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.stacks.services import API_SERVERS, NGINX
from clew.stacks.stack import Stack
from taskqueue.contract import FINAL_STATES, HEADER

RESULT_SECONDS = 30
NGINX_SECONDS = 3  # how long nginx tries API servers, one second each (stack/nginx/retries.conf)
ANSWER_SECONDS = 15  # longer, so that nginx has said which side did not answer before the client gives up

_POSITIONS = [{"symbol": "AAPL", "quantity": 100, "price": 150.0}]
REQUESTS: dict[str, dict[str, Any]] = {
    "calculate_var": {"portfolio_data": {"positions": _POSITIONS}},
    "monte_carlo_pricing": {
        "option": {
            "kind": "european", "right": "call", "spot": 100.0, "strike": 105.0,
            "volatility": 0.2, "rate": 0.03, "maturity": 1.0,
        }
    },
    "portfolio_optimization": {
        "assets": [
            {"symbol": "AAPL", "expected_return": 0.09, "volatility": 0.28},
            {"symbol": "MSFT", "expected_return": 0.08, "volatility": 0.24},
        ]
    },
    "stress_test": {"portfolio_data": {"positions": _POSITIONS}},
}  # fmt: skip
# With the fifth type: a task that fails once and is retried.
SAMPLES = {**REQUESTS, "rehearsal": {"seconds": 0.02, "fail": "transient", "failures": 1, "retry_seconds": 0.5}}


@dataclass(frozen=True)
class Answer:
    """What came back for one POST: `sent_at` in seconds since the epoch, `ms` from sending to the whole answer."""

    sent_id: str
    sent_at: float
    ms: float
    status_code: int
    answered_id: str
    body: dict[str, Any]

    @property
    def task_id(self) -> str:
        return str(self.body["task_id"])


def new_id() -> str:
    return f"clew-{uuid.uuid4().hex[:12]}"


def request_body(task_type: str = "calculate_var", data: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of a task request, with the sample data of that type unless `data` is given.

    Raises:
        ClewError: there is no such task type.
    """
    if task_type not in SAMPLES:
        raise ClewError(f"There is no task type {task_type!r}; there are {', '.join(SAMPLES)}.", "make stage-5 send")
    return {"task_type": task_type, "data": SAMPLES[task_type] if data is None else data, "priority": "high"}


def seeded_body(data: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the body of a VaR request that has the same result every time."""
    return request_body("calculate_var", {**(data or REQUESTS["calculate_var"]), "seed": 7})


def ask(stack: Stack, method: str, task_id: str) -> dict[str, Any]:
    """GET or DELETE a task; return `method`, `task_id`, the answer's `status_code` and its `body`.

    Raises:
        ClewError: nothing answers.
    """
    try:
        with _client(stack) as client:
            answer = client.request(method, f"/api/v1/tasks/{task_id}")
    except httpx.HTTPError as error:
        raise ClewError(
            f"{stack.title} does not answer at {stack.url}: {str(error) or 'no data'}.",
            stack.command("status"),
        ) from None
    return {"method": method, "task_id": task_id, "status_code": answer.status_code, "body": _body(answer)}


def _body(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; anything else becomes an object with its text as `detail`."""
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else {"detail": answer.text[:500]}


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def parsed_data(text: str) -> dict[str, Any]:
    """Return a request's `data` from its JSON text.

    Raises:
        ValueError: it is not a JSON object that can be sent: NaN, numbers without end, lone surrogates, deep nesting.
    """
    try:
        data = json.loads(text, parse_constant=_refuse)
        json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"it is {text[:40]!r}, not an object such as {{}}")
    return data


def _client(stack: Stack, service: str = NGINX) -> httpx.Client:
    url = stack.url if service == NGINX else f"http://127.0.0.1:{stack.ports[service]}"
    # Not through a proxy that the environment may name, and no time lost with certificates: this is loopback.
    return httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False, verify=False)  # noqa: S501


def send(
    stack: Stack,
    correlation_id: str | None = None,
    body: dict[str, Any] | None = None,
    service: str = NGINX,
    key: str | None = None,
    header: bool = True,
) -> Answer:
    """Send one task request with X-Request-ID to nginx, or past it to an API server, whatever its answer may be.

    `key` is an Idempotency-Key to send with it. Without `header` no ID is sent, and the answer's `sent_id` is empty.

    Raises:
        ClewError: nothing answers, or the ID cannot be put into a header.
    """
    sent_id = "" if not header else correlation_id if correlation_id is not None else new_id()
    try:
        headers = {HEADER.encode(): sent_id.encode()} if header else {}
        if key is not None:
            headers[b"Idempotency-Key"] = f'"{key}"'.encode()
    except UnicodeEncodeError:
        raise ClewError("The ID is not valid UTF-8 text.", stack.command("send ID=MY-TRACE-123")) from None
    try:
        with _client(stack, service) as client:
            sent_at = time.time()
            answer = client.post("/api/v1/tasks", json=body or request_body(), headers=headers)
            ms = (time.time() - sent_at) * 1000
    except httpx.LocalProtocolError as error:
        raise ClewError(
            f"This ID cannot be sent in a header: {error}.", stack.command("send ID=MY-TRACE-123")
        ) from None
    except httpx.HTTPError as error:
        where = f"127.0.0.1:{stack.ports[service]}"
        reason = f"{service} of {stack.called} does not answer at {where}: {str(error) or 'no data'}."
        raise ClewError(reason, stack.command("status")) from None
    return Answer(sent_id, sent_at, ms, answer.status_code, answer.headers.get(HEADER, ""), _body(answer))


def refused(stack: Stack, answer: Answer) -> ClewError:
    """Return the error for a request that was not accepted, with every field that the API complains about."""
    text = f"{stack.title} answered {answer.status_code}: {answer.body.get('detail', answer.body)}"
    if answer.status_code >= 500 and answer.ms >= NGINX_SECONDS * 1000:
        text += f"\n  nginx waited {NGINX_SECONDS} s for the API servers, and none answered."
    errors = answer.body.get("errors")
    for error in errors if isinstance(errors, list) else []:
        fields = error if isinstance(error, dict) else {}
        text += f"\n  {fields.get('field', 'error')}: {fields.get('message', error)}"
    return ClewError(text, stack.command("status" if answer.status_code >= 500 else "send"))


def send_task(
    stack: Stack, correlation_id: str | None = None, body: dict[str, Any] | None = None, service: str = NGINX
) -> Answer:
    """Send one task request that must be accepted.

    Raises:
        ClewError: the answer is not 201, or has no task ID.
    """
    answer = send(stack, correlation_id, body, service)
    if answer.status_code != 201:
        raise refused(stack, answer)
    if not isinstance(answer.body.get("task_id"), str):
        raise ClewError(f"{stack.title} answered 201 without a task ID: {answer.body}", stack.command("diff"))
    return answer


def warm_up(stack: Stack) -> None:
    """Send each API server one request and wait for its task: a process's first answer is several times slower.

    Raises:
        ClewError: the stack does not answer.
    """
    for server in API_SERVERS:
        result(stack, send_task(stack, "warm-up", service=server).task_id)


def result(stack: Stack, task_id: str, seconds: float = RESULT_SECONDS) -> dict[str, Any]:
    """Wait until a task is finished; return its state as the API tells it.

    An API that does not answer, or answers 503, is asked again until the time is up.

    Raises:
        ClewError: the task was not finished in time, or the API does not know it.
    """
    state: dict[str, Any] = {}
    trouble = ""
    refusal: ClewError | None = None

    with _client(stack) as client:

        def finished() -> bool:
            nonlocal trouble, refusal
            try:
                answer = client.get(f"/api/v1/tasks/{task_id}")
            except httpx.HTTPError as error:
                trouble = f"; the API did not answer: {str(error) or 'no data'}"
                return False
            if answer.is_client_error:
                refusal = ClewError(f"The API answered {answer.status_code}: {answer.text}", stack.command("status"))
                return True
            if answer.is_server_error:
                trouble = f"; the last answer was {answer.status_code}: {answer.text}"
                return False
            body = _body(answer)
            if not {"status", "result", "error"} <= body.keys():
                trouble = f"; the last answer was not a task: {answer.text[:200]}"
                return False
            state.update(body)
            trouble = f"; it is {state['status']}"
            return state["status"] in FINAL_STATES

        try:
            wait_until(finished, seconds, f"task {task_id} to be finished", stack.command("status"), every=0.05)
        except ClewError as error:
            raise ClewError(error.message.rstrip(".") + trouble + ".", error.next_step) from None
    if refusal is not None:
        raise refusal
    return state
