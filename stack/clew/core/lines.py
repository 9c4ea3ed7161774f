"""One line of a service's log as a dictionary, whatever program wrote it."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, NoReturn

Line = dict[str, Any]

REDIS_TIME = re.compile(r"^\d+:\w (\d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2}\.\d{3}) . ?(.*)$")
NGINX_TIME = re.compile(r"^(\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}) (.*)$")
LATEST = 1e11  # seconds since the epoch, in the year 5138: later than any clock that is right

TEXT_FIELDS = ("level", "hop", "correlation_id", "request_id", "task_id", "method", "path", "queue", "at")
NUMBER_FIELDS = ("request_time", "duration_ms")


def parse_line(service: str, text: str) -> Line:
    """Return a line of a service's log as a dictionary with at least `service` and `message`.

    `ts`, in seconds since the epoch, is there when the line tells its time. A JSON object is taken as it is if it has
    the shape of our services' log lines (see `_log_line`), except that `service` is the one that wrote it. Any other
    line becomes its text as `message`: a service, or a `print` added to one, may write anything.
    """
    if (line := _log_line(text)) is not None:
        return {**line, "service": service}
    for pattern, form in ((REDIS_TIME, "%d %b %Y %H:%M:%S.%f"), (NGINX_TIME, "%Y/%m/%d %H:%M:%S")):
        if found := pattern.match(text):
            try:
                when = datetime.strptime(found[1], form).replace(tzinfo=UTC).timestamp()
            except ValueError:
                continue
            if _is_time(when):
                return {"ts": when, "service": service, "message": found[2]}
    return {"service": service, "message": text}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _log_line(text: str) -> Line | None:
    """Return a JSON object if it is a log line: flat, every known field of its type, encodable; else None."""
    try:
        line = _DECODER.decode(text)
        if not isinstance(line, dict) or any(isinstance(value, dict | list) for value in line.values()):
            return None
        "".join(map(str, (*line, *line.values()))).encode()  # a lone surrogate cannot be encoded
    except (ValueError, RecursionError):
        return None
    fits = (
        _is_time(line.get("ts"))
        and isinstance(line.get("message"), str)
        and all(line.get(name) is None or isinstance(line[name], str) for name in TEXT_FIELDS)
        and all(_is_number(line[name]) for name in NUMBER_FIELDS if name in line)
        and all(math.isfinite(value) for value in line.values() if isinstance(value, float))
    )
    return line if fits else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LATEST


def _is_time(value: Any) -> bool:
    return _is_number(value) and value >= 0
