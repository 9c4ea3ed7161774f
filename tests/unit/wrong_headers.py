"""Wrong answers to the exercise of notebook 11, each with words of its explanation."""

from __future__ import annotations

from typing import Any

from clew.evidence.journey import SENT_ID

HEADER = "x_id"


def publish(headers: dict[str, Any], variable: Any) -> None:
    if variable.value:
        headers[HEADER] = variable.value


def begin(headers: dict[str, Any], variable: Any) -> None:
    variable.value = headers.get(HEADER)


def end(variable: Any) -> None:
    variable.value = None


def nothing(*_: Any) -> None: ...


def celerys_own(headers: dict[str, Any], variable: Any) -> None:
    headers["correlation_id"] = variable.value


def always(headers: dict[str, Any], variable: Any) -> None:
    headers[HEADER] = str(variable.value)


def sets(headers: dict[str, Any], variable: Any) -> None:
    headers[HEADER] = {variable.value}


def clears(headers: dict[str, Any], variable: Any) -> None:
    headers.clear()
    headers[HEADER] = variable.value


def strict(headers: dict[str, Any], variable: Any) -> None:
    variable.value = headers[HEADER]


def if_there(headers: dict[str, Any], variable: Any) -> None:
    variable.value = headers.get(HEADER) or variable.value


def fixed(headers: dict[str, Any], variable: Any) -> None:
    variable.value = SENT_ID


WRONG = {
    "carry": [
        ((nothing, begin, end), "is not in the headers"),
        ((celerys_own, begin, end), "which Celery writes itself"),
        ((clears, begin, end), "removes a header"),
        ((sets, begin, end), "cannot be sent"),
        ((always, begin, end), "take that text for an ID"),
        ((publish, nothing, end), "is None after before_task"),
        ((publish, strict, end), "has no ID"),
        ((publish, if_there, end), "the last task in the process had left"),
        ((publish, fixed, end), "whatever its message says"),
        ((publish, begin, nothing), "is still"),
        ((publish, begin), "Three functions"),
        ((None, begin, end), "A function is expected"),
        (7, "Give the three functions"),
    ]
}
