"""What a message must look like before Celery sees it: of a task, and of remote control.

Celery takes a message apart in many places, and an error in most of them ends the worker. So everything that it relies
on is checked here, first the size, then the nesting, then each field, and whatever is not as Celery itself writes it is
refused with a reason. A reason names a field and never repeats what an attacker wrote, except a task's name, shortened.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Container
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from taskqueue.contract import QUEUES, VALID_ID

# A request of 1 MiB becomes at most 6 MiB of JSON (1e15 is written 1000000000000000.0), and 8 MiB in base64.
MAX_TASK_BYTES = 16 * 1024 * 1024
MAX_CONTROL_BYTES = 1024 * 1024
MAX_NESTING = 100  # Python gives up near 1,000, depending on who calls
MAX_SECONDS = 24 * 3600  # of a time limit, and until a retry
MAX_CLOCK = 2**53


class Malformed(ValueError):
    """A message that must not reach Celery; the text says why."""


class Ids(NamedTuple):
    """The IDs in a message, None where there is none that can be logged."""

    task_id: str | None = None
    correlation_id: str | None = None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1000


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and VALID_ID.fullmatch(value) is not None


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_time_limit(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(limit is None or (_is_number(limit) and 0 < limit <= MAX_SECONDS) for limit in value)
    )


def _is_time(value: Any) -> bool:
    try:
        time = datetime.fromisoformat(value)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return time.year >= 2000 and time <= datetime.now(UTC) + timedelta(seconds=MAX_SECONDS)
    except (ValueError, TypeError, OverflowError):
        return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


class Rule(NamedTuple):
    """What a field must be, in words and as a check; whether it may be null or left out."""

    words: str
    holds: Callable[[Any], bool]
    optional: bool = True


TEXT, ID = Rule("text", _is_text), Rule("an ID", _is_id)
TASK = {
    "headers": Rule("an object", _is_dict, False),
    "properties": Rule("an object", _is_dict, False),
    "body": Rule("text", _is_text, False),
    "content-type": Rule("application/json", lambda value: value == "application/json", False),
    "content-encoding": Rule("utf-8", lambda value: value == "utf-8", False),
}
HEADERS = {
    "task": Rule("text", _is_text, False),
    "id": Rule("an ID", _is_id, False),
    "root_id": ID,
    "parent_id": ID,
    "group": ID,
    "group_index": Rule("a count", _is_count),
    "shadow": TEXT,
    "lang": TEXT,
    "eta": Rule("a time at most a day ahead", _is_time),
    "expires": Rule("null: no task here expires", lambda value: False),
    "retries": Rule("a count", _is_count, False),
    "timelimit": Rule("two numbers of seconds, each up to a day, or null", _is_time_limit),
    "argsrepr": TEXT,
    "kwargsrepr": TEXT,
    "origin": TEXT,
    "ignore_result": Rule("true or false", lambda value: isinstance(value, bool)),
    "replaced_task_nesting": Rule("a count", _is_count),
    "stamped_headers": Rule("a list of texts", _are_texts),
    "stamps": Rule("an object", _is_dict),
    "redelivered": Rule("true or false", lambda value: isinstance(value, bool)),
    "compression": Rule("null: no message here is compressed", lambda value: False),
}
PROPERTIES = {
    "body_encoding": Rule("base64", lambda value: value == "base64", False),
    "correlation_id": TEXT,
    "reply_to": TEXT,
    "delivery_mode": Rule("a count", _is_count),
    "delivery_info": Rule("an object", _is_dict, False),
    "delivery_tag": Rule("an ID", _is_id, False),
    "priority": Rule("a count", _is_count),
}
DELIVERY_INFO = {
    "exchange": Rule("one of ours", lambda value: value in ("", *QUEUES), False),
    "routing_key": Rule("one of our queues", lambda value: value in QUEUES, False),
    "redelivered": Rule("true or false", lambda value: isinstance(value, bool)),
}
EMBEDDED = {
    "callbacks": Rule("a list", _is_list),
    "errbacks": Rule("a list", _is_list),
    "chain": Rule("a list", _is_list),
    "chord": Rule("an object", _is_dict),
}
CONTROL_HEADERS = {
    "clock": Rule("a number", lambda value: _is_number(value) and 0 <= value < MAX_CLOCK),
    "expires": Rule("a number", _is_number),
}
CONTROL_DELIVERY_INFO = {"exchange": Rule("text", _is_text, False), "routing_key": TEXT}
CONTROL = {
    "method": Rule("text", _is_text, False),
    "arguments": Rule("an object", _is_dict),
    "destination": Rule("a list of texts", _are_texts),
    "pattern": TEXT,
    "matcher": TEXT,
    "ticket": TEXT,
    "reply_to": Rule("an object", _is_dict),
}
REPLY_TO = {"exchange": Rule("text", _is_text, False), "routing_key": Rule("text", _is_text, False)}


def check_task(raw: bytes, tasks: Container[str]) -> None:
    """Make sure that a message is one that Celery can run: of protocol 2, for one of these `tasks`.

    Raises:
        Malformed: it is not.
    """
    message = _envelope(raw, MAX_TASK_BYTES)
    headers = message["headers"]
    _check(headers, HEADERS, "headers")
    if not all(_is_scalar(headers[name]) for name in headers.keys() - HEADERS):
        raise Malformed("headers has one that is not Celery's and neither text, a number, true, false nor null")
    _check(message["properties"], PROPERTIES, "properties")
    _check(message["properties"]["delivery_info"], DELIVERY_INFO, "properties.delivery_info")
    if headers["task"] not in tasks:
        raise Malformed(f"headers.task is {_shortened(headers['task'])}, which is not a task here")
    body = _body(message)
    if not isinstance(body, list) or [type(part) for part in body] != [list, dict, dict]:
        raise Malformed("body is not a list of a list, an object and an object")
    embedded = body[2]
    _check(embedded, EMBEDDED, "body[2]")
    if embedded.keys() - EMBEDDED:
        raise Malformed("body[2] has fields that are not Celery's")


def check_control(raw: bytes) -> None:
    """Make sure that a message of remote control is one that a worker can answer.

    Raises:
        Malformed: it is not.
    """
    message = _envelope(raw, MAX_CONTROL_BYTES)
    _check(message["headers"], CONTROL_HEADERS, "headers")
    _check(message["properties"], PROPERTIES, "properties")
    _check(message["properties"]["delivery_info"], CONTROL_DELIVERY_INFO, "properties.delivery_info")
    body = _body(message)
    if not isinstance(body, dict):
        raise Malformed("body is not an object")
    _check(body, CONTROL, "body")
    if body.keys() - CONTROL:
        raise Malformed("body has fields that are not Celery's")
    if body.get("reply_to"):
        _check(body["reply_to"], REPLY_TO, "body.reply_to")


def ids_in(raw: bytes) -> Ids:
    """Return what can be read of a message's task ID and correlation ID, however malformed it is."""
    if len(raw) > MAX_TASK_BYTES:
        return Ids()
    try:
        message = json.loads(raw)
        task_id = message["headers"]["id"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return Ids()
    try:
        correlation_id = json.loads(base64.b64decode(message["body"]))[1]["correlation_id"]
    except (ValueError, TypeError, LookupError, RecursionError):
        correlation_id = None
    return Ids(task_id if _is_id(task_id) else None, correlation_id if _is_id(correlation_id) else None)


def _envelope(raw: bytes, most: int) -> dict[str, Any]:
    if len(raw) > most:
        raise Malformed(f"the message is longer than {most // 2**20} MiB")
    message = _parsed(raw, "the message")
    if not isinstance(message, dict):
        raise Malformed("the message is not a JSON object")
    _check(message, TASK, "")
    return message


def _body(message: dict[str, Any]) -> Any:
    try:
        content = base64.b64decode(message["body"], validate=True)
    except ValueError:  # also where it is not ASCII
        raise Malformed("body is not base64") from None
    return _parsed(content, "body")


def _parsed(raw: bytes, what: str) -> Any:
    try:
        value = json.loads(raw.decode())
    except RecursionError:
        raise Malformed(f"{what} is nested too deeply") from None
    except ValueError:  # not UTF-8, not JSON, or a number of more than 4,300 digits
        raise Malformed(f"{what} is not JSON") from None
    if raw.count(b"[") + raw.count(b"{") > MAX_NESTING and _is_nested_deeper(value, MAX_NESTING):
        raise Malformed(f"{what} is nested too deeply")
    return value


def _is_nested_deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True


def _check(found: dict[str, Any], rules: dict[str, Rule], where: str) -> None:
    for name, rule in rules.items():
        value = found.get(name)
        if not (value is None and rule.optional) and not rule.holds(value):
            field = f"{where}.{name}" if where else name
            raise Malformed(f"{field} is missing" if name not in found else f"{field} is not {rule.words}")


def _shortened(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:60]}…")
