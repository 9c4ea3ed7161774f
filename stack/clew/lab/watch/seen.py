"""What the live view has seen: for each hop the newest verdict and counts, for each service its last line.

A log line does not say which ID the client sent. So this view judges the line alone: no ID is missing, an ID of 32
hexadecimal digits, as nginx and the API servers make them, counts as replaced, any other as kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from clew import ladder
from clew.core.lines import Line
from clew.evidence import logs
from clew.evidence.trace import CLOCK_SLACK
from clew.stacks.drivers import Driver

GENERATED = re.compile(r"[0-9a-f]{32}")
VERDICTS = ("kept", "replaced", "missing")
LIT_SECONDS = 1.5
OVERLAP_SECONDS = 2.0  # a line may turn up later than one with a later time


def verdict(found: object) -> str:
    """Return what a hop's line says about the ID, judged by the line alone."""
    if not found:
        return "missing"
    return "replaced" if GENERATED.fullmatch(str(found)) else "kept"


@dataclass
class Seen:
    """What was seen until now; times in seconds since the epoch."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: {hop: Counter() for hop in ladder.HOPS})
    newest: dict[str, str] = field(default_factory=dict)
    lit_until: dict[str, float] = field(default_factory=dict)
    last: dict[str, Line] = field(default_factory=dict)

    def take(self, lines: Iterable[Line], now: float) -> None:
        """Take new lines, in time order."""
        for line in lines:
            self.last[str(line["service"])] = line
            hop = line.get("hop")
            if hop in self.counts and line.get("method", "POST") == "POST":
                found = verdict(line.get("correlation_id"))
                self.counts[hop][found] += 1
                self.newest[hop] = found
                self.lit_until[hop] = now + LIT_SECONDS

    def lit(self, hop: str, now: float) -> bool:
        """Whether a request has just passed a hop."""
        return self.lit_until.get(hop, 0) > now


class Follower:
    """Reads the nine logs again and again, and returns each line once."""

    def __init__(self, driver: Driver, since: float) -> None:
        self.driver, self.since = driver, since
        self.known: dict[tuple[str, str], float] = {}  # lines of the overlap, and their times

    def new_lines(self) -> list[Line]:
        """Return the lines that came since the last call, in time order.

        Raises:
            ClewError: the logs cannot be read; the stack was taken down, for example.
        """
        fresh = []
        for line in logs.read(self.driver, self.since - CLOCK_SLACK):
            key = (str(line["service"]), repr(sorted(line.items(), key=lambda item: item[0])))
            if key not in self.known:
                self.known[key] = float(line["ts"])
                fresh.append(line)
        if fresh:
            self.since = max(self.since, max(float(line["ts"]) for line in fresh) - OVERLAP_SECONDS)
            self.known = {key: when for key, when in self.known.items() if when >= self.since - CLOCK_SLACK}
        return fresh
