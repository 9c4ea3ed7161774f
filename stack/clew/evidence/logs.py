"""Reading the nine services' logs as one: every line a dictionary, in time order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from clew.core.lines import Line, parse_line
from clew.core.wait import wait_until
from clew.stacks.drivers import Driver
from taskqueue.contract import ID_FIELDS, VALID_ID


def read(driver: Driver, since: float | None = None) -> list[Line]:
    """Return the lines of all nine services in time order; a line without a time follows its service's previous line.

    With `since` (seconds since the epoch), only lines that have that time or a later one.
    """
    return parsed(driver.logs(since), since)


def search(driver: Driver, wanted: str) -> list[Line]:
    """Return what `with_id` finds in all lines; only lines that can have the ID are parsed."""
    if not VALID_ID.fullmatch(wanted):  # in JSON it may be written in another way
        return with_id(read(driver), wanted)
    lines = []
    for service, texts in driver.logs().items():
        for number, text in enumerate(texts):
            if wanted in text or "\\u" in text:
                line = parse_line(service, text)
                if "ts" not in line:  # it has the time of the last line before it that has one
                    earlier = (parse_line(service, before) for before in reversed(texts[:number]) if before.strip())
                    line["ts"] = next((one["ts"] for one in earlier if "ts" in one), 0.0)
                line["level"] = line.get("level") or "INFO"
                lines.append(line)
    return with_id(in_order(lines), wanted)


def parsed(logs: Mapping[str, Iterable[str]], since: float | None = None) -> list[Line]:
    """Return each service's lines as `read` does."""
    lines = []
    for service, texts in logs.items():
        when = 0.0
        for text in texts:
            if not text.strip():
                continue
            line = parse_line(service, text)
            when = line["ts"] = line.get("ts", when)
            line["level"] = line.get("level") or "INFO"
            if since is None or when >= since:
                lines.append(line)
    return in_order(lines)


def in_order(lines: list[Line]) -> list[Line]:
    """Return lines in time order; nginx cuts its times to milliseconds, and writes after the server that it asked."""
    return sorted(lines, key=lambda line: line["ts"] + (0.000999 if "request_time" in line else 0))


def of_tasks(driver: Driver, since: float, task_ids: Iterable[str], seconds: float, next_step: str) -> list[Line]:
    """Return the lines of all services from a time on, once each of these tasks has said that it is complete.

    Raises:
        ClewError: one did not in time.
    """
    wanted = set(task_ids)
    found: list[Line] = []

    def complete() -> bool:
        found[:] = read(driver, since)
        return wanted <= {line.get("task_id") for line in found if str(line.get("message")).endswith(" COMPLETE")}

    wait_until(complete, seconds, "the last lines of all tasks", next_step, every=0.05)
    return found


def with_id(lines: list[Line], wanted: str) -> list[Line]:
    """Return the lines that have an ID as correlation, request or task ID, or as a whole word of their text.

    In a text, an ID ends where a character follows that no ID contains; a full stop at the end of a word may follow.
    """
    whole = re.compile(rf"(?<![\w.-]){re.escape(wanted)}(?!\.*[\w-])", re.ASCII)
    return [
        line
        for line in lines
        if any(line.get(field) == wanted for field in ID_FIELDS) or whole.search(str(line.get("message", "")))
    ]


def ids_that_begin_with(lines: list[Line], part: str) -> list[str]:
    """Return the correlation, request and task IDs that begin with a text, each once, in the order of the lines."""
    found = (str(line.get(field) or "") for line in lines for field in ID_FIELDS)
    return list(dict.fromkeys(one for one in found if one.startswith(part)))


def of_request(lines: list[Line], wanted: str) -> list[Line]:
    """Return the lines that have an ID, and those of the tasks that are named together with it."""
    found = with_id(lines, wanted)
    task_ids = {line["task_id"] for line in found if line.get("task_id")}
    return [line for line in lines if line in found or line.get("task_id") in task_ids]


def began(line: Line) -> float:
    """Return when the event of a line began, in seconds since the epoch: nginx logs a request at its end."""
    return float(line["ts"]) - float(line.get("request_time", 0))
