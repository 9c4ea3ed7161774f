"""What is said of a message in Redis, in one place; `message` is what `evidence.message.message` returns."""

from __future__ import annotations

from typing import Any

from clew.core.text import printable

PLACE = "kwargs.correlation_id"
DECOY = "properties.correlation_id is Celery's own: it repeats the task ID, whatever the client sent."
PARTS = {
    "kwargs": "the body: what the worker's function is called with",
    "headers": "about the task; id is the task ID",
    "properties": "about the delivery; a header of the broker, not of HTTP",
}


def title(message: dict[str, Any]) -> str:
    queue, task_id, sent_id = (printable(str(message[name])) for name in ("queue", "task_id", "sent_id"))
    return f"queue {queue} · task {task_id} · sent X-Request-ID: {sent_id}"


def verdict(message: dict[str, Any]) -> str:
    """Return the verdict word for the ID in a message: kept, replaced or missing."""
    if message["id_at"]:
        return "kept"
    return "replaced" if message["kwargs"].get("correlation_id") else "missing"


def id_place(message: dict[str, Any]) -> str:
    """Return where in a message the client's ID is, or that it is not there, as a sentence."""
    if place := message["id_at"]:
        return f"The ID is in the message, at {printable(place)}."
    if other := message["kwargs"].get("correlation_id"):
        return f"The ID is not in the message; {PLACE} has another one, {printable(str(other))}."
    return f"The ID is not in the message; it would be at {PLACE}."


def in_redis(message: dict[str, Any]) -> str:
    """Return the same as one step of a request's way."""
    where = f"with the ID at {printable(message['id_at'])}" if message["id_at"] else "without the client's ID"
    return f"The message is in Redis, in the queue “{printable(message['queue'])}”, {where}."


def shown(message: dict[str, Any], part: str) -> dict[str, Any]:
    """Return a part of a message without its empty fields, and without `origin`, a process and host name."""
    fields = message[part].items()
    return {key: value for key, value in fields if value not in (None, {}, [None, None]) and key != "origin"}
