"""Scenarios: when each request is due, what it asks for, and what kind of client sends it."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from clew.core.errors import ClewError

MOST_SECONDS = 900
MOST_REQUESTS = 60_000  # the workers' logs, from which the IDs are counted, keep about this many
SLOW_SECONDS = 2.0  # how long a slow client takes to send its body


class Due(NamedTuple):
    """One request: `at` is when it is due, in seconds from the start; `work` how long its task takes, in seconds."""

    at: float
    correlation_id: str
    priority: str
    work: float
    slow: bool


@dataclass(frozen=True)
class Scenario:
    """`phases` are shares of the time with their requests per second, `priorities` their weights; `slow` is the
    share of clients that send their body slowly."""

    name: str
    told: str
    phases: Sequence[tuple[float, float]]
    seconds: int = 60
    priorities: Mapping[str, int] = field(default_factory=lambda: {"medium": 1})
    work: float = 0.0
    slow: float = 0.0

    def due(self, seconds: float, seed: int = 7) -> list[Due]:
        """Return the requests of a run of so many seconds: at a constant rate within a phase.

        Raises:
            ClewError: it would be longer, or more, than this command allows.
        """
        rng = random.Random(seed)
        mark = f"{random.SystemRandom().getrandbits(32):08x}"  # IDs of an earlier run are still in the logs
        count = sum(share * seconds * rate for share, rate in self.phases)
        if not 0 < seconds <= MOST_SECONDS or count > MOST_REQUESTS:
            raise ClewError(
                f"{seconds:g} seconds of {self.name} are {count:,.0f} requests; at most {MOST_SECONDS} seconds and "
                f"{MOST_REQUESTS:,} requests are sent.",
                f"make stage-5 load NAME={self.name} SECONDS={self.seconds}",
            )
        names, weights = list(self.priorities), list(self.priorities.values())
        return [
            Due(at, f"load-{mark}-{n}", rng.choices(names, weights)[0], self.work, rng.random() < self.slow)
            for n, at in enumerate(self._moments(seconds), 1)
        ]

    def _moments(self, seconds: float) -> Iterator[float]:
        begin = 0.0
        for share, rate in self.phases:
            yield from (begin + n / rate for n in range(round(share * seconds * rate)))
            begin += share * seconds


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("steady", "100 requests a second", [(1.0, 100)], seconds=300),
        Scenario("spike", "20 a second, in the middle 200", [(0.4, 20), (0.2, 200), (0.4, 20)]),
        Scenario(
            "mixed",
            "60 a second of all priorities, each task 20 ms",
            [(1.0, 60)],
            priorities={"high": 1, "medium": 3, "low": 6},
            work=0.02,
        ),
        Scenario("slow", "60 a second; a fifth of the clients take 2 s to send their body", [(1.0, 60)], slow=0.2),
    )
}


def scenario_named(name: str) -> Scenario:
    """Return a scenario.

    Raises:
        ClewError: there is no such scenario.
    """
    if name not in SCENARIOS:
        raise ClewError(f"There is no scenario {name!r}; there are {', '.join(SCENARIOS)}.", "make stage-5 load")
    return SCENARIOS[name]


def require_loopback(url: str) -> None:
    """Refuse to load anything but this machine.

    Raises:
        ClewError: the address's host is not a loopback address.
    """
    host = urlsplit(url).hostname or ""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ClewError(f"A load is sent to this machine only, not to {host or url!r}.", "make stage-5 load")
