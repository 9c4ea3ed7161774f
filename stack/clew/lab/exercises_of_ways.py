"""The exercise of notebook 11, which carries an ID in a message's header. See `exercises.py` for what a check is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from clew.lab.attempt import Unsolved, call, items, require, shown
from clew.lab.exercises_of_layers import SENT

OTHER = "ANOTHER-ONE-7"
# What Celery itself writes into a message, over whatever is there.
CELERYS = ("correlation_id", "id", "task", "root_id", "parent_id", "reply_to", "group", "origin", "retries", "argsrepr")


class Variable:
    """A context variable of one process: its value, None when it has none."""

    def __init__(self, value: str | None = None) -> None:
        self.value = value


def carry(functions: Any) -> str:
    """Three functions must carry an ID: before_publish and before_task (headers, variable), after_task (variable)."""
    found = items(functions, "Give the three functions: (before_publish, before_task, after_task).")
    require(len(found) == 3, f"Three functions are expected; you gave {len(found)}.")
    publish, begin, end = found

    headers = _published(publish, SENT, {"lang": "py"})
    own = sorted(name for name, value in headers.items() if value == SENT)
    require(headers.get("lang") == "py", "Your before_publish removes a header that was there. Add yours to it.")
    require(bool(own), f"Not solved yet: after before_publish, {SENT} is not in the headers {shown(headers)}.")
    require(
        not set(own) & set(CELERYS),
        f"You use the header {own[0]}, which Celery writes itself: the ID would be overwritten. Choose another name.",
    )

    process = Variable()
    call(begin, dict(headers), process)
    require(
        process.value == SENT, f"In the worker the variable is {shown(process.value)} after before_task, not {SENT}."
    )
    child = _published(publish, process.value, {})
    require(SENT in child.values(), "A task that sends another task does not pass the ID on.")

    call(end, process)
    require(
        process.value is None,
        f"After the task the variable is still {shown(process.value)}. The next task in this process, and every line "
        "between them, would have another request's ID.",
    )

    nobody = _published(publish, None, {})
    require(
        not [value for value in nobody.values() if value in ("None", "null", "")],
        f"Without an ID your headers are {shown(nobody)}: the worker would take that text for an ID.",
    )
    left = Variable(OTHER)  # its last task was killed before after_task
    call(begin, dict(nobody), left, or_else="Your before_task stops when a message has no ID, as one of celery beat's.")
    require(left.value != OTHER, f"A task without an ID gets {OTHER}, which the last task in the process had left.")
    require(left.value != SENT, f"A task without an ID gets {SENT}, whatever its message says.")
    return "Solved: into the header, out of it, on to the next task, and nothing is left behind."


def _published(publish: Any, value: str | None, headers: dict[str, Any]) -> dict[str, Any]:
    call(publish, headers, Variable(value))
    try:
        json.dumps(headers)
    except (TypeError, ValueError):
        raise Unsolved(f"The headers {shown(headers)} cannot be sent: they must be plain texts.") from None
    return headers


CHECKS: dict[str, Callable[[Any], str]] = {"carry": carry}
