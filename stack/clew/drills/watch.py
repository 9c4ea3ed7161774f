"""What is looked at all the time while a drill runs: the depth of the queues, and when each service was started.

A service that has been started more often than the drill did it has ended unexpectedly.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping

import httpx

from clew.core.errors import ClewError
from clew.stacks.drivers import Driver
from clew.stacks.services import API_SERVERS, SERVICES
from clew.stacks.stack import Stack
from taskqueue.contract import QUEUES

LOOK_SECONDS = 0.5
ANSWER_SECONDS = 2.0


class Watch:
    """Looks every `every` seconds, in a thread of its own, from `begin` to `end`.

    `depths` are pairs of a time, in seconds since the epoch, and the number of tasks that wait. `failed` counts the
    looks that got no answer.
    """

    def __init__(self, stack: Stack, driver: Driver, every: float = LOOK_SECONDS) -> None:
        self.stack = stack
        self.driver = driver
        self.every = every
        self.depths: list[tuple[float, int]] = []
        self.failed = 0
        self._starts: defaultdict[str, set[float]] = defaultdict(set)
        self._ours: Counter[str] = Counter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        self.look()
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def started(self, service: str) -> None:
        """Note that the drill is about to end and start a service."""
        self.look()  # a start that nobody has seen yet would be missed
        self._ours[service] += 1

    def look(self) -> None:
        """Note when each service was started."""
        with contextlib.suppress(ClewError):
            for service, when in self.driver.started().items():
                self._starts[service].add(when)

    def ended_unexpectedly(self) -> dict[str, int]:
        """Return how often each service was started though the drill did not do it; those never are left out."""
        extra = {name: len(self._starts[name]) - 1 - self._ours[name] for name in SERVICES}
        return {name: count for name, count in extra.items() if count > 0}

    def _run(self) -> None:
        urls = [f"http://127.0.0.1:{self.stack.ports[server]}" for server in API_SERVERS]
        turn = 0
        last = time.monotonic()
        with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
            while not self._end.wait(self.every):
                turn += 1
                try:
                    body = client.get(f"{urls[turn % len(urls)]}/api/v1/queues").raise_for_status().json()
                    self.depths.append((time.time(), waiting(body, self.stack.settings == "durable")))
                except (httpx.HTTPError, ValueError, TypeError, KeyError):
                    self.failed += 1
                if time.monotonic() - last > LOOK_SECONDS:
                    last = time.monotonic()
                    self.look()


def waiting(body: Mapping[str, int], durable: bool) -> int:
    """Return how many tasks wait, from the answer of GET /api/v1/queues. Stock Celery knows messages alone."""
    return int(body["waiting"]) if durable else sum(body[queue] for queue in QUEUES)
