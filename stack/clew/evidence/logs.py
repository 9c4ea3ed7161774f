"""Reading the nine services' logs as one: every line a dictionary, in time order."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from clew.stacks.drivers import Driver

Line = dict[str, Any]

REDIS_TIME = re.compile(r"^\d+:\w (\d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2}\.\d{3}) . ?(.*)$")
NGINX_TIME = re.compile(r"^(\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}) (.*)$")
ID_FIELDS = ("correlation_id", "request_id", "task_id")


def parse_line(service: str, text: str) -> Line:
    """Return a log line as a dictionary; a line that is no JSON object becomes one with its text as `message`."""
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if isinstance(line, dict) and "ts" in line:
        return line
    for pattern, form in ((REDIS_TIME, "%d %b %Y %H:%M:%S.%f"), (NGINX_TIME, "%Y/%m/%d %H:%M:%S")):
        if found := pattern.match(text):
            when = datetime.strptime(found[1], form).replace(tzinfo=UTC).timestamp()
            return {"ts": when, "service": service, "message": found[2]}
    return {"service": service, "message": text}


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
