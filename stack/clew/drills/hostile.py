"""Messages that no API server wrote: malformed in the ways that have ended workers."""

from __future__ import annotations

import base64
import json
import pickle
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

LARGE_BYTES = 100 * 1024 * 1024
Message = dict[str, Any]


def good_message(rng: random.Random) -> Message:
    """Return a message as Celery writes it, of a rehearsal that nobody asked for."""
    task_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    return {
        "body": encoded([[], {"seconds": 0}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": "taskqueue.rehearsal", "id": task_id, "shadow": None, "eta": None, "expires": None,
            "group": None, "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": task_id,
            "parent_id": None, "argsrepr": "()", "kwargsrepr": "{}", "origin": "drill", "ignore_result": False,
        },
        "properties": {
            "correlation_id": task_id, "reply_to": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "medium"}, "priority": 0,
            "body_encoding": "base64", "delivery_tag": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        },
    }  # fmt: skip


def encoded(body: Any) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()


def _without(*path: str) -> Callable[[Message], Any]:
    def change(message: Message) -> Message:
        inner = message
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        return message

    return change


def _with(value: Any, *path: str) -> Callable[[Message], Any]:
    def change(message: Message) -> Message:
        inner = message
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        return message

    return change


def _pickled(message: Message) -> Message:
    message["body"] = base64.b64encode(pickle.dumps([[], {}, {}])).decode()
    message["content-type"] = "application/x-python-serialize"
    message["content-encoding"] = "binary"
    return message


# Each turns a good message into what is put on the queue: bytes as they are, anything else as JSON.
KINDS: Mapping[str, Callable[[Message], Any]] = {
    "not JSON": lambda message: b"\x00\xff not JSON",
    "empty": lambda message: b"",
    "half a message": lambda message: json.dumps(message).encode()[: len(json.dumps(message)) // 2],
    "a number": lambda message: 7,
    "a list": lambda message: [message],
    "null": lambda message: None,
    "deep nesting": lambda message: b"[" * 5000 + b"]" * 5000,
    "no body": _without("body"),
    "no headers": _without("headers"),
    "no properties": _without("properties"),
    "no content type": _without("content-type"),
    "no delivery tag": _without("properties", "delivery_tag"),
    "no delivery info": _without("properties", "delivery_info"),
    "no task ID": _without("headers", "id"),
    "no task name": _without("headers", "task"),
    "body null": _with(None, "body"),
    "body not base64": _with("{}", "body"),
    "body an object": _with(encoded({}), "body"),
    "body not a triple": _with(encoded([[]]), "body"),
    "body the number 7": _with(encoded(7), "body"),
    "unknown task": _with("tasks.no_such_task", "headers", "task"),
    "task ID a list": _with([1], "headers", "id"),
    "bad time limit": _with("soon", "headers", "timelimit"),
    "bad stamps": _with(7, "headers", "stamps"),
    "bad time": _with("yesterday", "headers", "eta"),
    "bad retries": _with("many", "headers", "retries"),
    "pickle": _pickled,
    "callbacks a number": _with(encoded([[], {}, {"callbacks": 7}]), "body"),
}


def raw(kind: str, rng: random.Random) -> bytes:
    """Return a malformed message of one kind as the bytes that are put on a queue."""
    return raw_of(KINDS[kind](good_message(rng)))


def raw_of(message: Any) -> bytes:
    return message if isinstance(message, bytes) else json.dumps(message).encode()


def large(rng: random.Random) -> bytes:
    """Return a message of 100 MiB that is well formed apart from its size."""
    message = good_message(rng)
    message["body"] = encoded([["x" * (LARGE_BYTES * 3 // 4)], {}, {}])
    return raw_of(message)
