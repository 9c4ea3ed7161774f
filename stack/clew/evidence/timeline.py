"""One request in time: moments and spans, read from its log lines."""

from __future__ import annotations

from dataclasses import dataclass

from clew.core.lines import Line
from clew.evidence.logs import began
from clew.evidence.trace import Run
from clew.stacks.services import is_worker

CELERYS_OWN = ("received", "succeeded", "failed", "raised")


@dataclass(frozen=True)
class Moment:
    """Something that happened `ms` after the client sent the request."""

    ms: float
    where: str
    what: str


@dataclass(frozen=True)
class Span:
    """From `start` to `end`, in milliseconds after the client sent the request."""

    where: str
    what: str
    start: float
    end: float


def moments(run: Run) -> list[Moment]:
    """Return what is known of a request in time order, the client's own two moments included."""
    found = [Moment(0.0, "client", "POST sent"), Moment(run.answered_ms, "client", "answer 201, with the task ID")]
    for line in run.lines:
        found.append(Moment(max(0.0, (began(line) - run.sent_at) * 1000), line["service"], in_short(line)))
    return sorted(found, key=lambda moment: moment.ms)


def in_short(line: Line) -> str:
    """Return a line's message; of Celery's own ones, which repeat the result, only what they tell."""
    message = str(line["message"])
    if message.startswith("Task tasks."):
        return next((f"Celery: {word}" for word in CELERYS_OWN if f" {word}" in message), "Celery")
    return message


def spans(run: Run) -> list[Span]:
    """Return where the time went: the request, its way through nginx and API, the wait in Redis, the calculation."""
    found = [Span("client", "waits for the answer", 0.0, run.answered_ms)]
    for line in run.lines:
        at = (line["ts"] - run.sent_at) * 1000
        if line.get("hop") == "nginx":
            found.append(Span("nginx", "passes the request on", max(0.0, at - line["request_time"] * 1000), at))
        elif str(line["message"]).startswith("Request completed"):
            found.append(Span("FastAPI", "accepts the task", max(0.0, at - line["duration_ms"]), at))
        elif is_worker(line["service"]) and "duration_ms" in line:
            found.append(Span("worker", "calculates", at - line["duration_ms"], at))
    queued, started = (hop.ms for hop in run.hops[-2:])
    if queued is not None and started is not None:
        found.append(Span("Redis", "queues the message", queued, started))
    order = ("client", "nginx", "FastAPI", "Redis", "worker")
    return sorted(found, key=lambda span: order.index(span.where))


def summary(run: Run) -> str:
    end = max((span.end for span in spans(run)), default=run.answered_ms)
    return f"The client had its answer after {run.answered_ms:.1f} ms; the task was done after {end:.1f} ms."
