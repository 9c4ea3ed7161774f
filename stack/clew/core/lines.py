"""One line of a service's log as a dictionary, whatever program wrote it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

Line = dict[str, Any]

REDIS_TIME = re.compile(r"^\d+:\w (\d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2}\.\d{3}) . ?(.*)$")
NGINX_TIME = re.compile(r"^(\d{4}/\d{2}/\d{2} \d{2}:\d{2}:\d{2}) (.*)$")


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
