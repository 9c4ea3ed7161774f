"""Two requests at once: which log lines are whose?

All that is known beforehand are the two IDs that were sent. A line is told apart by the ID on it; or by the task ID,
where another line has that task ID together with one of the two. Not by the time: both requests were there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.evidence.trace import CLOCK_SLACK, LINES_SECONDS
from clew.stacks import freshness
from clew.stacks.drivers import Driver, driver_of
from clew.stacks.services import API_SERVERS, NGINX
from clew.stacks.stack import Stack

NAMES = ("Ann", "Ben")
IDS = ("ANN-TRACE-1", "BEN-TRACE-2")
POSITIONS = (
    {"symbol": "AAPL", "quantity": 100, "price": 150.0},
    {"symbol": "GOOGL", "quantity": 50, "price": 2800.0},
)
TRIES = 10
BY_ID, BY_TASK = "ID", "task ID"
OF_LINE = ("ts", "service", "message", "hop", "correlation_id", "request_id", "task_id", "duration_ms")


@dataclass(frozen=True)
class Owned:
    """A log line that could be either's. `owner` is 0 or 1, None when nothing on it tells; `by` is what tells."""

    line: Line
    owner: int | None = None
    by: str | None = None


@dataclass(frozen=True)
class Two:
    """Two requests that were in flight at the same time. Times are seconds since the epoch, and milliseconds."""

    stage: int | None
    mix: str
    driver: str
    sent_ids: list[str]
    answered_ids: list[str]
    task_ids: list[str]
    sent_at: list[float]
    answered_ms: list[float]
    results: list[Any]
    lines: list[Owned] = field(repr=False)

    @property
    def told_apart(self) -> int:
        """How many of the lines can be told apart."""
        return sum(one.owner is not None for one in self.lines)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Two:
        """Make what `to_json` returned into an object again."""
        return cls(**{**data, "lines": [Owned(**line) for line in data["lines"]]})


def two(stack: Stack, sent_ids: Sequence[str] = IDS, driver: Driver | None = None) -> Two:
    """Send two requests so that each is in flight while the other is, wait for both results, and find their lines.

    Raises:
        ClewError: the stack is not up, did not answer 201, the IDs are the same, or the two did not overlap.
    """
    if len({*sent_ids}) != 2:
        raise ClewError("Two requests need two different IDs.", stack.command("two"))
    driver = driver or driver_of(stack)
    freshness.require_current(stack, driver)
    mix = stack.mix
    first, second = at_once(stack, sent_ids)
    states = [client.result(stack, answer.task_id) for answer in (first, second)]
    found: list[Line] = []
    since = min(first.sent_at, second.sent_at) - CLOCK_SLACK

    def complete() -> bool:
        found[:] = candidates(logs.read(driver, since), (first.task_id, second.task_id))
        hops = [line["hop"] for line in found if "hop" in line]
        ended = {line["task_id"] for line in found if "duration_ms" in line and "task_id" in line}
        return ended == {first.task_id, second.task_id} and all(hops.count(hop) >= 2 for hop in ladder.HOPS)

    wait_until(complete, LINES_SECONDS, "the log lines of both requests", stack.command("status"), every=0.03)
    return Two(
        stage=stack.number,
        mix=mix,
        driver=driver.name,
        sent_ids=list(sent_ids),
        answered_ids=[first.answered_id, second.answered_id],
        task_ids=[first.task_id, second.task_id],
        sent_at=[first.sent_at, second.sent_at],
        answered_ms=[first.ms, second.ms],
        results=[state["result"] for state in states],
        lines=owned(found, sent_ids),
    )


def at_once(stack: Stack, sent_ids: Sequence[str]) -> tuple[client.Answer, client.Answer]:
    """Send both requests at the same moment, again if one was answered before the other was sent.

    Raises:
        ClewError: after TRIES it is still so, or a request was not accepted.
    """
    bodies = [client.seeded_body({"portfolio_data": {"positions": [position]}}) for position in POSITIONS]
    for _ in range(TRIES):
        together = threading.Barrier(2, timeout=client.ANSWER_SECONDS)

        def send(number: int, together: threading.Barrier = together) -> client.Answer:
            together.wait()
            return client.send_task(stack, sent_ids[number], bodies[number])

        with ThreadPoolExecutor(2) as people:
            first, second = people.map(send, range(2))
        if overlap(first, second):
            return first, second
    raise ClewError("The two requests did not overlap.", f"{stack.command('two')}, when less is running")


def overlap(first: client.Answer, second: client.Answer) -> bool:
    """Return whether each request was sent before the other was answered."""
    ends = (first.sent_at + first.ms / 1000, second.sent_at + second.ms / 1000)
    return max(first.sent_at, second.sent_at) < min(ends)


def candidates(lines: Iterable[Line], task_ids: Sequence[str]) -> list[Line]:
    """Return the lines that are about one of two requests and have a field for its ID: what nginx and the servers log
    of a POST, and what the workers log of the two tasks. Of each line, only the fields that are shown."""
    return [
        {name: line[name] for name in OF_LINE if name in line}
        for line in lines
        if line.get("method", "POST") == "POST"
        and ("correlation_id" in line or "request_id" in line)
        and (line["task_id"] in task_ids if line.get("task_id") else line["service"] in (NGINX, *API_SERVERS))
    ]


def owned(lines: Iterable[Line], sent_ids: Sequence[str]) -> list[Owned]:
    """Return each line with the one of two people whose it is, as far as the lines tell."""
    lines = list(lines)
    by_id = [_only({line.get("correlation_id"), line.get("request_id")}, sent_ids) for line in lines]
    owners: dict[str, set[int]] = {}
    for line, owner in zip(lines, by_id, strict=True):
        if owner is not None and line.get("task_id"):
            owners.setdefault(line["task_id"], set()).add(owner)
    found = []
    for line, owner in zip(lines, by_id, strict=True):
        of_task = owners.get(line.get("task_id") or "", set())
        if owner is not None:
            found.append(Owned(line, owner, BY_ID))
        elif len(of_task) == 1:
            found.append(Owned(line, next(iter(of_task)), BY_TASK))
        else:
            found.append(Owned(line))
    return found


def _only(on_line: set[str | None], sent_ids: Sequence[str]) -> int | None:
    """Return the number of the only one of the two IDs that is on a line, None for none or both."""
    matching = [number for number, sent_id in enumerate(sent_ids) if sent_id in on_line]
    return matching[0] if len(matching) == 1 else None
