"""Messages that are not as Celery writes them: a valid one with one thing changed, and some that are no message."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

TASK_ID = "00000000-0000-4000-8000-000000000001"
MISSING = object()
VALUES = {
    "missing": MISSING,
    "null": None,
    "a number": 7,
    "text": "x",
    "no text": "",
    "a list": [[]],
    "an object": {"a": {}},
    "true": True,
    "huge": 10**400,
    "infinite": float("inf"),
    "a surrogate": "\ud800",
    "control characters": "\x1b]0;x\x07\r\n\0",
}
NOT_JSON = {
    "no JSON": b"this is not JSON",
    "empty": b"",
    "not UTF-8": b"\xff\xfe\xfd",
    "pickle": pickle.dumps({"task": "x"}),
    "a number": b"7",
    "a list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "an empty object": b"{}",
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "nested 900 deep": b'{"headers":' + b"[" * 900 + b"]" * 900 + b"}",
    "a number of 10,000 digits": b"1" * 10_000,
}


def valid(task_id: str = TASK_ID, body: Any = None, task: str = "taskqueue.rehearsal", **kwargs: Any) -> dict[str, Any]:
    """Return a message as Celery writes it."""
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return {
        "body": encoded([[], kwargs, embedded] if body is None else body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": "gen1@host",
            "ignore_result": False,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": "9650ef27-5565-39ff-8bc7-dfaba9b475ee",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "low"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "c2cf9fcd-5cd7-40f8-9d20-1b455926a061",
        },
    }


def control(**body: Any) -> dict[str, Any]:
    """Return a message of remote control as Celery writes it."""
    given = {"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None, **body}
    return {
        "body": encoded(given),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"clock": 1, "expires": None},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "c2cf9fcd-5cd7-40f8-9d20-1b455926a062",
        },
    }


def encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def bodies() -> dict[str, Any]:
    """Return bodies that are not a triple of arguments, keyword arguments and Celery's own."""
    return {
        "not base64": "***",
        "half of base64": encoded([[], {}, {}])[:-5],
        "not JSON": base64.b64encode(b"{").decode(),
        "not UTF-8": base64.b64encode(b"\xff").decode(),
        "pickle": base64.b64encode(pickle.dumps(([], {}, {}))).decode(),
        "an object": encoded({}),
        "an empty list": encoded([]),
        "[[]]": encoded([[]]),
        "7": encoded(7),
        "null": encoded(None),
        "two parts": encoded([[], {}]),
        "four parts": encoded([[], {}, {}, {}]),
        "arguments are text": encoded(["x", {}, {}]),
        "keyword arguments are a list": encoded([[], [], {}]),
        "Celery's own is text": encoded([[], {}, "x"]),
        "callbacks are a number": encoded([[], {}, {"callbacks": 7}]),
        "the chain is text": encoded([[], {}, {"chain": "x"}]),
        "the chord is a list": encoded([[], {}, {"chord": []}]),
        "something unknown among Celery's own": encoded([[], {}, {"args": 7}]),
        "nested 5,000 deep": base64.b64encode(b"[" * 5000 + b"]" * 5000).decode(),
        "nested 500 deep": encoded([[], {"x": json.loads("[" * 500 + "]" * 500)}, {}]),
        "a number of 10,000 digits": base64.b64encode(b"[[]," + b"1" * 10_000 + b",{}]").decode(),
    }


def variants(message: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield a name and the bytes of each message in which one field has another value."""
    for path in _paths(message):
        for words, value in VALUES.items():
            changed = copy.deepcopy(message)
            inner = changed
            for name in path[:-1]:
                inner = inner[name]
            if value is MISSING:
                del inner[path[-1]]
            else:
                inner[path[-1]] = value
            if changed != message:
                yield f"{'.'.join(path)}: {words}", json.dumps(changed).encode()


def messages() -> dict[str, bytes]:
    """Return all the messages for a queue."""
    found = dict(NOT_JSON)
    found["half a message"] = json.dumps(valid()).encode()[:300]
    found |= {f"body: {words}": json.dumps({**valid(), "body": body}).encode() for words, body in bodies().items()}
    found |= dict(variants(valid()))
    message = valid()
    message["headers"] |= {"argh": {"a": []}}
    found["a foreign header"] = json.dumps(message).encode()
    for words, limit in {
        "negative": [-1, None],
        "huge": [1e300, None],
        "NaN": [float("nan"), None],
        "three": [1] * 3,
    }.items():
        message = valid()
        message["headers"]["timelimit"] = limit
        found[f"timelimit: {words}"] = json.dumps(message).encode()
    for eta in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2999-01-01", "tomorrow"):
        message = valid()
        message["headers"]["eta"] = eta
        found[f"eta: {eta}"] = json.dumps(message).encode()
    message = valid()
    message["headers"]["compression"] = "zlib"
    found["compressed"] = json.dumps(message).encode()
    found["an unknown task"] = json.dumps(valid(task="no.such.task")).encode()
    for kind in ("application/x-python-serialize", "application/x-yaml", "application/data"):
        found[kind] = json.dumps({**valid(), "content-type": kind}).encode()
    return found


def control_messages() -> dict[str, bytes]:
    """Return all the messages for remote control."""
    found = dict(NOT_JSON) | dict(variants(control()))
    found |= {f"body: {words}": json.dumps({**control(), "body": body}).encode() for words, body in bodies().items()}
    for name in control()["headers"]:
        for words, value in VALUES.items():
            if value is not MISSING:
                found[f"{name}: {words}"] = json.dumps(control(**{name: value})).encode()
    return found


def _paths(message: dict[str, Any], *outer: str) -> Iterator[tuple[str, ...]]:
    for name, value in message.items():
        yield (*outer, name)
        if isinstance(value, dict):
            yield from _paths(value, *outer, name)
