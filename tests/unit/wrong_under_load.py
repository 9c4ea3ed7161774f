"""Likely wrong answers to the exercises of notebooks 8 and 9, each with words of its explanation."""

from __future__ import annotations

import uuid
from typing import Any


def look_then_write(bookings: Any, task: Any) -> None:
    if not bookings.exists(task.id):
        bookings.put(task.id, task.amount)


def impatient(status: int | None, retry_after: str | None, tries: int) -> float | None:
    return None if tries > 5 or (status or 500) < 500 else 1.0


def client(final: Any = (200, 201, 400, 422), most: int = 5) -> Any:
    """Return a client that waits as it is told; what is in `final` it does not repeat."""
    return lambda status, header, tries: None if tries > most or status in final else float(header or 1)


def patient(wait: Any) -> Any:
    """Return a client that gives up after five tries and never repeats what was accepted or is wrong."""
    return lambda status, retry_after, tries: None if tries > 5 or (status or 500) < 500 else wait(retry_after)


WRONG: dict[str, list[tuple[Any, str]]] = {
    "order": [
        (["low-1", "high-1", "medium-1", "low-2", "high-2", "medium-2"], "the order in which they were accepted"),
        (["high-1", "medium-1", "low-1", "high-2", "medium-2", "low-2"], "take turns"),
        (["low-2", "low-1", "medium-2", "medium-1", "high-2", "high-1"], "The other way round"),
        (["high-2", "high-1", "medium-1", "medium-2", "low-1", "low-2"], "first in, first out: high-1"),
        (["high-1", "low-1", "high-2", "medium-1", "medium-2", "low-2"], "low-1 starts too early"),
        (["high-1", "high-1", "medium-1", "medium-2", "low-1", "low-2"], "each of the six tasks once"),
    ],
    "retry": [
        (lambda status, retry_after, tries: None, "is busy, not broken"),
        (impatient, "asked for 7 s, and you come back after 1 s"),
        (patient(lambda header: header or 1), "A header is text"),
        (patient(lambda header: float(header or 0)), "you try again at once"),
        (patient(lambda header: float(header or 1) ** 2), "The user has left by then"),
        (patient(lambda header: 10.0), "asked for 20 s, and you come back after 10 s"),
        (patient(lambda header: 25.0), "After Retry-After: 1 you wait 25 s"),
        (client(final=()), "accepted with 201"),
        (client(final=(200, 201)), "with 422"),
        (client(most=10_000), "never give up"),
        (client(final=(200, 201, 400, 422, None)), "same key"),
    ],
    "book": [
        (lambda bookings, task: bookings.put(task.id, task.amount), "the customer pays twice"),
        (lambda bookings, task: bookings.put_if_absent(str(uuid.uuid4()), task.amount), "a key of its own"),
        (lambda bookings, task: bookings.put_if_absent((task.id, task.run), task.amount), "a key of its own"),
        (lambda bookings, task: bookings.put_if_absent(task.correlation_id, task.amount), "this task's own"),
        (lambda bookings, task: bookings.put_if_absent(task.amount, task.amount), "this task's own"),
        (look_then_write, "in one step: put_if_absent"),
        (lambda bookings, task: bookings.put_if_absent([task.id], task.amount), "must be one value"),
        (lambda bookings, task: bookings.put_if_absent(task.id, 2 * task.amount), "it should be 100"),
    ],
}  # fmt: skip
