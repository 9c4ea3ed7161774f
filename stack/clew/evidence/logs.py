"""Reading the nine services' logs as one: every line a dictionary, in time order."""

from __future__ import annotations

from clew.core.lines import Line, parse_line
from clew.stacks.drivers import Driver
from taskqueue.contract import ID_FIELDS


def read(driver: Driver, since: float | None = None) -> list[Line]:
    """Return the lines of all nine services in time order; a line without a time stands where its service wrote it.

    With `since` (seconds since the epoch), only lines that bear that time or a later one.
    """
    lines = []
    for service, texts in driver.logs(since).items():
        when = 0.0
        for text in texts:
            if not text.strip():
                continue
            line = parse_line(service, text)
            when = line["ts"] = line.get("ts", when)
            line.setdefault("level", "INFO")
            if since is None or when >= since:
                lines.append(line)
    return in_order(lines)


def in_order(lines: list[Line]) -> list[Line]:
    """Return lines in time order; nginx cuts its times to milliseconds, and writes after the server that it asked."""
    return sorted(lines, key=lambda line: line["ts"] + (0.000999 if "request_time" in line else 0))


def with_id(lines: list[Line], wanted: str) -> list[Line]:
    """Return the lines that bear an ID, as correlation, request or task ID, or in their text."""
    return [
        line
        for line in lines
        if any(line.get(field) == wanted for field in ID_FIELDS) or wanted in str(line.get("message", ""))
    ]
