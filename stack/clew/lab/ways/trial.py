"""One way on the nine services: a request traced, a task retried, a message lost and sent again, Flower asked."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import httpx

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs, message
from clew.evidence.journey import SENT_ID
from clew.evidence.trace import CLOCK_SLACK, Run, trace
from clew.lab.ways import folder
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say
from clew.stacks.drivers.choice import wanted_driver
from clew.stacks.ready import redis_client
from clew.stacks.refresh import refresh
from clew.stacks.services import FLOWER
from clew.stacks.stack import Stack, ways_stack
from taskqueue.contract import HEADER

SECONDS = 30
SPAN_SECONDS = 5
RETRIED = {"task_type": "rehearsal", "priority": "high"} | {
    "data": {"seconds": 0.01, "fail": "transient", "failures": 1, "retry_seconds": 0.2}
}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
# What clients send to the services that have both IDs; the last one is not a traceparent.
SENT_HEADERS: tuple[dict[str, str], ...] = (
    {HEADER: SENT_ID},
    {"traceparent": TRACEPARENT},
    {HEADER: SENT_ID, "traceparent": TRACEPARENT},
    {"traceparent": SENT_ID},
)


@dataclass(frozen=True)
class Span:
    """A span as a service wrote it; times in seconds since the epoch."""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str | None
    begin: float
    end: float
    correlation_id: str | None


@dataclass(frozen=True)
class Heard:
    """What became of a client's headers: the IDs that the worker logged, and those of the IDs that the answer had."""

    sent: dict[str, str]
    correlation_id: str | None
    trace_id: str | None
    answered: list[str]


@dataclass(frozen=True)
class Trial:
    """What was seen of one way.

    `run` is the traced request. `lines` of `all_lines` about it are found by one search for its ID. `message` says
    where in the message the ID is, `in_flower` whether Flower's page of the task has it. `retried` has the ID that the
    worker logged in each run of a retried task, `sent_again` the one of a task whose message was lost and sent again.
    """

    way: str
    changed: dict[str, int]
    run: Run
    found_lines: int
    all_lines: int
    message: str
    in_flower: bool
    retried: list[str | None]
    sent_again: str | None
    spans: list[Span]
    heard: list[Heard]

    def to_json(self) -> dict[str, Any]:
        run = self.run.to_json()
        run["lines"] = [{name: value for name, value in line.items() if name != "upstream"} for line in run["lines"]]
        return {**asdict(self), "run": run}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Trial:
        spans = [Span(**span) for span in data["spans"]]
        heard = [Heard(**one) for one in data["heard"]]
        return cls(**{**data, "run": Run.from_json(data["run"]), "spans": spans, "heard": heard})


@contextmanager
def stack_for_ways() -> Iterator[Stack]:
    """Keep the stack for this process; it is down before and after, and runs with the local driver.

    Raises:
        ClewError: containers are asked for, whose image has no OpenTelemetry and whose files cannot be written.
    """
    if wanted_driver() == "docker":
        raise ClewError(
            "The three ways run with the local driver: the image has no OpenTelemetry.", "make ways DRIVER="
        )
    stack = ways_stack()
    with lifecycle.reserved(stack), _local_driver():
        lifecycle.down(stack)
        try:
            yield stack
        finally:
            lifecycle.down(stack)


@contextmanager
def _local_driver() -> Iterator[None]:
    before = os.environ.get("DRIVER")
    os.environ["DRIVER"] = "local"
    try:
        yield
    finally:
        os.environ.pop("DRIVER") if before is None else os.environ.__setitem__("DRIVER", before)


def switch(stack: Stack, way: str, driver: Driver | None, say: Say) -> Driver:
    """Have the nine services carry the ID in this way; start them if there is no driver yet.

    Raises:
        ClewError: the stack did not come up, or a service did not come back.
    """
    folder.write(way, stack.folder)
    if driver is None:
        driver, _ = lifecycle.up(stack, say)
    else:
        refresh(stack, driver, kill=True)
    client.warm_up(stack)
    return driver


def trial(stack: Stack, driver: Driver, way: str) -> Trial:
    """Send the requests of a trial and look where their ID is.

    Raises:
        ClewError: a request was refused, or its lines did not appear.
    """
    run = trace(stack, SENT_ID, client.seeded_body(), driver)
    lines = logs.of_request(logs.read(driver, run.sent_at - CLOCK_SLACK), SENT_ID)
    return Trial(
        way=way,
        changed=folder.changed(way),
        run=run,
        found_lines=len(logs.with_id(lines, SENT_ID)),
        all_lines=len(lines),
        in_flower=SENT_ID in flower_page(stack, driver, run.task_id),
        retried=retried(stack, driver),
        **lost_message(stack, driver),
        spans=spans(stack, run) if way == folder.OPENTELEMETRY else [],
        heard=[heard(stack, driver, sent) for sent in SENT_HEADERS] if way == folder.OPENTELEMETRY else [],
    )


def flower_page(stack: Stack, driver: Driver, task_id: str) -> str:
    """Return Flower's page of a task that is finished.

    Raises:
        ClewError: Flower does not show it.
    """
    url = f"http://127.0.0.1:{stack.ports[FLOWER]}/task/{task_id}"
    login = ("learner", driver.password("flower", "web"))
    page = ""

    def shown() -> bool:
        nonlocal page
        try:
            page = httpx.get(url, auth=login, timeout=5, trust_env=False).text
        except httpx.HTTPError:
            return False
        return task_id in page and "SUCCESS" in page

    wait_until(shown, SECONDS, f"Flower to show task {task_id}", stack.command("up"), every=0.1)
    return page


def retried(stack: Stack, driver: Driver) -> list[str | None]:
    """Send a task that fails once; return the ID that the worker logs in each run."""
    answer = client.send_task(stack, SENT_ID, RETRIED)
    client.result(stack, answer.task_id)
    return [line["correlation_id"] for line in _started(driver, answer.sent_at, answer.task_id, 2)]


def lost_message(stack: Stack, driver: Driver) -> dict[str, Any]:
    """Send a task and remove its message from its queue; return where the message had the ID, and the ID that the
    worker logs once a worker has noticed that the message is missing and has sent it again."""
    place = "nowhere"
    with message.nobody_consuming(stack), redis_client(stack, text=False) as queues:
        answer = client.send_task(stack, SENT_ID, client.seeded_body())
        for raw in queues.lrange("high", 0, -1):
            found = message.decode(raw)
            if found is not None and found["headers"]["id"] == answer.task_id:
                place = _place(found)
                queues.lrem("high", 1, raw)
    client.result(stack, answer.task_id)
    [again] = _started(driver, answer.sent_at, answer.task_id, 1)
    return {"message": place, "sent_again": again["correlation_id"]}


def _place(found: dict[str, Any]) -> str:
    """Return where in a decoded message the ID is: `kwargs.correlation_id`, for example."""
    for part in ("kwargs", "headers"):
        for name, value in found[part].items():
            if isinstance(value, str) and SENT_ID in value and not name.endswith("repr"):
                return f"{part}.{name}"
    return "nowhere"


def _started(driver: Driver, since: float, task_id: str, count: int) -> list[Line]:
    """Return the lines that the worker writes when it starts a task, one for each of its `count` runs."""
    found: list[Line] = []

    def complete() -> bool:
        found[:] = [
            line
            for line in logs.read(driver, since - CLOCK_SLACK)
            if line.get("hop") == "worker" and line.get("task_id") == task_id
        ]
        return len(found) >= count

    wait_until(complete, SECONDS, f"the lines of task {task_id}", "make ways", every=0.05)
    return found


def heard(stack: Stack, driver: Driver, sent: dict[str, str]) -> Heard:
    """Send a request with these headers."""
    since = time.time()
    try:
        answer = httpx.post(
            f"{stack.url}/api/v1/tasks", json=client.seeded_body(), headers=sent, timeout=15, trust_env=False
        )
        task_id = answer.raise_for_status().json()["task_id"]
    except httpx.HTTPError as error:
        raise ClewError(f"{stack.title} does not accept a request with {sent}: {error}.", "make ways") from None
    [line] = _started(driver, since, task_id, 1)
    ids = {"correlation_id": line.get("correlation_id"), "trace_id": line.get("trace_id")}
    told = [name for name, value in ids.items() if value and any(value in text for text in answer.headers.values())]
    return Heard(sent, **ids, answered=told)


def spans(stack: Stack, run: Run) -> list[Span]:
    """Return the spans of a traced request, in the order in which they began, once the worker's is written."""
    found: list[Span] = []

    def complete() -> bool:
        found[:] = [span for span in all_spans(stack) if span.correlation_id == run.sent_id and span.begin < ended]
        return {"run/tasks.calculate_var"} <= {span.name for span in found} and len(found) >= 3

    ended = max(line["ts"] for line in run.lines) + CLOCK_SLACK
    wait_until(complete, SPAN_SECONDS, "the request's spans", "make ways", every=0.1)
    return found


def all_spans(stack: Stack) -> list[Span]:
    """Return everything that the services have written so far; a line that is not complete yet is left out."""
    found = []
    for path in (stack.folder / folder.SPANS).glob("*.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                found.append(span_of(json.loads(line)))
    return sorted(found, key=lambda span: span.begin)


def span_of(data: dict[str, Any]) -> Span:
    """Return a span as the SDK writes it as JSON."""
    return Span(
        name=data["name"],
        service=data["resource"]["attributes"]["service.name"],
        trace_id=data["context"]["trace_id"],
        span_id=data["context"]["span_id"],
        parent_id=data["parent_id"],
        begin=datetime.fromisoformat(data["start_time"]).timestamp(),
        end=datetime.fromisoformat(data["end_time"]).timestamp(),
        correlation_id=data["attributes"].get("correlation_id"),
    )


def trials(say: Say) -> Iterator[Trial]:
    """Run all three ways one after the other on one stack; it is down before and after.

    Raises:
        ClewError: the stack did not come up, a request was refused, or its lines did not appear.
    """
    with stack_for_ways() as stack:
        driver: Driver | None = None
        for way in folder.WAYS:
            driver = switch(stack, way, driver, say)
            say(f"The ID is carried {folder.WAYS[way]}.")
            yield trial(stack, driver, way)
