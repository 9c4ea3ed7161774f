"""The exercise of notebook 10, which is about all logs at once. See `exercises.py` for what a check is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import sql
from clew.lab.attempt import Unsolved, require, shown


def _of_worker(number: int, task: str, message: str, **fields: Any) -> Line:
    return {
        "ts": float(number),
        "service": f"celery-worker-{number % 3 + 1}",
        "message": message,
        "task_id": task,
    } | fields


LINES: list[Line] = [
    {"ts": 1.0, "service": "nginx-loadbalancer", "message": "POST", "hop": "nginx", "correlation_id": None},
    {"ts": 2.0, "service": "fastapi-server-1", "message": "Handing on", "hop": "queue-service", "task_id": "t-kept"},
    _of_worker(3, "t-kept", "Task tasks.calculate_var[t-kept] received"),
    _of_worker(4, "t-kept", "VaR START", hop="worker", correlation_id="ORDER-1"),
    _of_worker(5, "t-kept", "VaR COMPLETE", correlation_id="ORDER-1", duration_ms=9.0),
    _of_worker(6, "t-lost", "Task tasks.calculate_var[t-lost] received"),
    _of_worker(7, "t-lost", "VaR START", hop="worker", correlation_id=None),
    _of_worker(8, "t-lost", "VaR START", hop="worker", correlation_id=None),
    _of_worker(9, "t-other", "Stress test START", hop="worker", correlation_id=None),
    _of_worker(10, "t-found", "VaR START", hop="worker", correlation_id=None),
    _of_worker(11, "t-found", "VaR START", hop="worker", correlation_id="ORDER-2"),
]
WANTED = {"t-lost", "t-other"}


def orphans(query: Any) -> str:
    """`query` must return the ID of each task whose worker never logged a correlation ID, each once."""
    require(isinstance(query, str), f"Write the query as a text; yours is {shown(query)}.")
    require(query.strip() not in ("", "?", "..."), "Not solved yet: write a query that returns the IDs of tasks.")
    with sql.of_lines(LINES) as connection:
        try:
            columns, rows = sql.ask(connection, query, "")
        except ClewError as error:
            raise Unsolved(error.message) from None
    require(len(columns) == 1, f"Return one column, the task's ID; yours are {', '.join(columns) or 'none'}.")
    found = [row[0] for row in rows]
    require(
        bool(found),
        "Your query finds nothing. In SQL no comparison with NULL is true, not even NULL = NULL: write IS NULL, or "
        "count(correlation_id), which does not count it.",
    )
    require(None not in found, "Your query returns NULL: a line of nginx has no ID either, but it is not a task's.")
    require(
        "t-kept" not in found,
        "Your query names t-kept, whose worker logged its ID. Celery's own lines and the queue service's line have "
        "none: look at the worker's hand-offs only (hop = 'worker').",
    )
    require(
        "t-found" not in found,
        "Your query names t-found. It ran twice, and its second run logged an ID, so its request can be found: look "
        "at all lines of a task together (GROUP BY task_id HAVING …).",
    )
    require("t-other" in found, "Your query misses t-other, a task of another type on another worker.")
    require(len(found) == len(set(found)), "Your query names t-lost twice: it ran twice. Name each task once.")
    require(set(found) == WANTED, f"Expected t-lost and t-other; your query returns {', '.join(map(str, found))}.")
    return "Solved: each task once, judged by all of its hand-offs. Run it on stage 4, then on stage 5."


CHECKS: dict[str, Callable[[Any], str]] = {"orphans": orphans}
