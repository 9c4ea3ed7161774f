"""Fifty requests at once, on a stack of their own, with each version of the worker's file."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.lab.leaks.judge import ANOTHERS, OWN, Judged, astray, judged
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say
from clew.stacks.refresh import refresh
from clew.stacks.stack import leaks_stack

WORKERS = Path(__file__).parent / "workers"
WAYS = {
    "by-hand": "by hand, as an argument",
    "not-cleared": "a context variable, not cleared",
    "cleared": "a context variable, cleared after each task",
}
REQUESTS = 50
AT_ONCE = 25
RETRIED_EVERY = 5  # each fifth request's task fails once and is retried
DEADLINE_SECONDS = 60
CLOCK_SLACK = 0.002


@dataclass(frozen=True)
class Ran:
    """One run of a task in a process of a worker: `begin` and `end` are seconds after the first request was sent,
    `verdict` is whose ID its lines have, `left_by` the task that left the logged ID there, where it is another's."""

    task: str
    owner: str
    logged: str | None
    verdict: str
    worker: str
    process: int
    begin: float
    end: float
    left_by: str | None


@dataclass(frozen=True)
class Trial:
    """What was seen with one version of the worker's file; `lines` counts the lines of tasks by verdict."""

    way: str
    requests: int
    lines: dict[str, int]
    ran: list[Ran]
    retried: int
    chained: int
    astray: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return WAYS[self.way]

    @property
    def processes(self) -> int:
        return len({(run.worker, run.process) for run in self.ran})  # in containers, PIDs are not unique

    @property
    def clean(self) -> bool:
        """Whether every line has its own request's ID."""
        return set(self.lines) == {OWN} and not self.astray

    @property
    def example(self) -> Ran | None:
        """The first run whose lines have another request's ID."""
        return next((run for run in self.ran if run.verdict == ANOTHERS), None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Trial:
        return cls(**{**data, "ran": [Ran(**run) for run in data["ran"]]})


def trials(say: Say) -> Iterator[Trial]:
    """Run the fifty requests once with each version of the worker's file; the stack is down before and after.

    Raises:
        ClewError: the stack did not come up, a request was refused, or the lines did not appear.
    """
    stack = leaks_stack()
    with lifecycle.reserved(stack):
        lifecycle.down(stack)
        driver: Driver | None = None
        try:
            for way in WAYS:
                write(way)
                if driver is None:
                    driver, _ = lifecycle.up(stack, say)
                    client.warm_up(stack)
                else:
                    refresh(stack, driver)
                say(f"{REQUESTS} requests, the ID carried {'in ' if way != 'by-hand' else ''}{WAYS[way]}.")
                yield trial(way, driver)
        finally:
            lifecycle.down(stack)


def write(way: str) -> None:
    """Make the stack's folder stage 5 with one version of the worker's file."""
    folder = leaks_stack().folder
    ladder.write_mix(ladder.FIXED.mix, folder)
    (folder / ladder.LAYERS[-1].file).write_text((WORKERS / f"{way}.py").read_text())


def body(number: int) -> dict[str, Any]:
    """Return the body of a request: a portfolio of its own, or a task that fails once and is retried."""
    if number % RETRIED_EVERY == 0:
        data = {"seconds": 0.02, "fail": "transient", "failures": 1, "retry_seconds": 0.2}
        return {"task_type": "rehearsal", "data": data, "priority": "medium"}
    position = {"symbol": "AAPL", "quantity": number, "price": 150.0}
    return client.seeded_body({"portfolio_data": {"positions": [position]}})


def trial(way: str, driver: Driver) -> Trial:
    """Send the requests, wait for every task, also the retried ones and those sent by tasks, and judge the lines."""
    stack = leaks_stack()
    sent = {f"LEAK-{number:02d}": body(number) for number in range(1, REQUESTS + 1)}
    with ThreadPoolExecutor(AT_ONCE) as clients:
        answers = list(clients.map(lambda item: client.send_task(stack, *item), sent.items()))
    told = {answer.task_id: answer.sent_id for answer in answers}
    began = min(answer.sent_at for answer in answers)
    chained = sum(one["task_type"] != "rehearsal" for one in sent.values())
    found: list[Line] = []

    def complete() -> bool:
        found[:] = logs.read(driver, began - CLOCK_SLACK)
        tasks = {(line["message"], line.get("task_id")) for line in found if "duration_ms" in line}
        ends = Counter(str(message) for message, _ in tasks)
        retried = REQUESTS - chained
        return all(ends[f"{name} COMPLETE"] >= count for name, count in (
            ("VaR", chained), ("Report", chained), ("Rehearsal", retried)
        ))  # fmt: skip

    wait_until(complete, DEADLINE_SECONDS, "the lines of all tasks", stack.command("up"), every=0.2)
    lines = judged(found, told)
    if not lines:
        raise ClewError("No line of the requests has a task ID.", stack.command("up"))
    return Trial(
        way=way,
        requests=REQUESTS,
        lines=dict(Counter(line.verdict for line in lines)),
        ran=runs(found, lines, began),
        retried=REQUESTS - chained,
        chained=chained,
        astray=astray(found, sent),
    )


def runs(found: list[Line], lines: list[Judged], began: float) -> list[Ran]:
    """Return every run of a task in the order of their starts, with where it ran.

    A process says which task it takes; the lines of a run are those of its task until the next time one is taken.
    """
    taken = [line for line in found if "process_id" in line]
    result: list[Ran] = []
    for line, (start, end) in zip(taken, bounds(taken), strict=True):
        own = [one for one in lines if one.line["task_id"] == line["task_id"] and start <= one.line["ts"] < end
               and one.line["service"] == line["service"]]  # fmt: skip
        if not own:
            continue
        worst = next((one for one in own if one.verdict != OWN), own[0])
        worker, process = where(line)
        logged = worst.line["correlation_id"]
        earlier = (ran for ran in reversed(result) if (ran.worker, ran.process, ran.owner) == (worker, process, logged))
        result.append(Ran(
            task=str(worst.line["message"]).split(" ")[0],
            owner=worst.owner,
            logged=logged,
            verdict=worst.verdict,
            worker=worker,
            process=process,
            begin=round(start - began, 4),
            end=round(max(one.line["ts"] for one in own) - began, 4),
            left_by=next((ran.task for ran in earlier), None) if worst.verdict == ANOTHERS else None,
        ))  # fmt: skip
    return result


def bounds(taken: list[Line]) -> list[tuple[float, float]]:
    """Return, for each time that a process takes a task, this moment and the next time that this process takes one."""
    following = {
        id(line): next_line["ts"]
        for process in {where(line) for line in taken}
        for line, next_line in itertools.pairwise([one for one in taken if where(one) == process])
    }
    return [(line["ts"], following.get(id(line), float("inf"))) for line in taken]


def where(line: Line) -> tuple[str, int]:
    """Return the worker and the process of a line; two containers may have a process with the same PID."""
    return line["service"], line["process_id"]
