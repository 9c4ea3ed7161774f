"""A request in time, from log lines written by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clew.core.lines import Line
from clew.evidence.timeline import Moment, Span, moments, spans, summary
from clew.evidence.trace import Run

KEPT = ["kept"] * 5
LINES: list[Line] = [
    {
        "service": "nginx-loadbalancer",
        "hop": "nginx",
        "ts": 1000.0625,
        "request_time": 0.0625,
        "message": "POST /api/v1/tasks",
    },
    {"service": "fastapi-server-2", "ts": 1000.05, "duration_ms": 40.0, "message": "Request completed"},
    {"service": "fastapi-server-2", "ts": 999.999, "duration_ms": 40.0, "message": "clocks differ"},
    {"service": "celery-worker-1", "ts": 1000.125, "message": "Task tasks.calculate_var[task-1] received"},
    {"service": "celery-worker-1", "ts": 1000.25, "message": "Task tasks.calculate_var[task-1] is odd"},
    {"service": "celery-worker-1", "ts": 1000.5, "duration_ms": 75.0, "message": "VaR COMPLETE"},
]


def test_the_moments_are_the_client_s_and_those_of_the_lines(run_of: Callable[..., Run]) -> None:
    found = moments(run_of("11111", KEPT, sent_at=1000.0, answered_ms=64.0, lines=LINES))

    assert [Moment(round(one.ms, 6), one.where, one.what) for one in found] == [
        Moment(0.0, "client", "POST sent"),
        Moment(0.0, "nginx-loadbalancer", "POST /api/v1/tasks"),
        Moment(0.0, "fastapi-server-2", "clocks differ"),
        Moment(50.0, "fastapi-server-2", "Request completed"),
        Moment(64.0, "client", "answer 201, with the task ID"),
        Moment(125.0, "celery-worker-1", "Celery: received"),
        Moment(250.0, "celery-worker-1", "Celery"),
        Moment(500.0, "celery-worker-1", "VaR COMPLETE"),
    ]


def test_the_spans_are_from_start_to_end_in_the_order_of_the_way(run_of: Callable[..., Run]) -> None:
    run = run_of("11111", KEPT, sent_at=1000.0, answered_ms=64.0, lines=LINES)

    assert [Span(one.where, one.what, round(one.start, 6), round(one.end, 6)) for one in spans(run)] == [
        Span("client", "waits for the answer", 0.0, 64.0),
        Span("nginx", "passes the request on", 0.0, 62.5),
        Span("FastAPI", "accepts the task", 10.0, 50.0),
        Span("Redis", "queues the message", 3.6, 9.8),
        Span("worker", "calculates", 425.0, 500.0),
    ]
    assert summary(run) == "The client had its answer after 64.0 ms; the task was done after 500.0 ms."


@pytest.mark.parametrize("verdicts", [["kept"] * 4 + ["unknown"], ["kept"] * 3 + ["unknown", "kept"]])
def test_without_both_ends_there_is_no_time_in_redis(run_of: Callable[..., Run], verdicts: list[str]) -> None:
    found = spans(run_of("11111", verdicts, lines=[]))

    assert [span.where for span in found] == ["client"]


def test_no_span_begins_before_the_request(run_of: Callable[..., Run]) -> None:
    """Clocks and roundings differ by a millisecond or two."""
    early = [{**line, "ts": line["ts"] - 0.03} for line in LINES[:2]]

    found = spans(run_of("11111", KEPT, sent_at=1000.0, lines=early))

    assert [(span.where, span.start) for span in found[1:3]] == [("nginx", 0.0), ("FastAPI", 0.0)]
