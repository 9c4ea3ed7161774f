"""What a drill acts on: a stack that is up, the load on it, the faults, and what was noted on the way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.drills import faults
from clew.drills.load import Body, Plan, Sender, arrivals
from clew.drills.model import Fault, Request
from clew.drills.watch import Watch
from clew.evidence import logs
from clew.stacks import ready
from clew.stacks.drivers import Driver, Say
from clew.stacks.services import WORKERS
from clew.stacks.stack import Stack

START_SECONDS = 0.3  # until the sender's event loop runs
READY_SECONDS = 60
PROGRESS_SECONDS = 5


class Scene:
    """A drill's hands: everything that it does to the stack goes through here, so that it is recorded.

    `size` has the numbers of the drill's form, `notes` what the drill measures itself, by name; `doubts` are reasons
    why the run may not show what it is meant to show.
    """

    def __init__(self, stack: Stack, driver: Driver, on: str, seed: str, size: Mapping[str, float], say: Say) -> None:
        self.stack = stack
        self.driver = driver
        self.on = on
        self.size = size
        self.rng = random.Random(seed)
        self.say = say
        self.plan = Plan(self.rng)
        self.sender = Sender(stack.url, self.rng)
        self.watch = Watch(stack, driver)
        self.faults: list[Fault] = []
        self.notes: dict[str, Any] = {}
        self.doubts: list[str] = []
        self.began = time.time()
        self._told = time.monotonic()

    @property
    def durable(self) -> bool:
        return self.on == "durable"

    def count(self, name: str) -> int:
        """Return a number of the drill's form that counts something."""
        return int(self.size[name])

    # --- load

    def at_a_rate(self, per_second: float, seconds: float, body: Body, label: str = "") -> None:
        """Begin to send requests at a rate, at random moments; return at once."""
        now = time.time() + START_SECONDS
        moments = [now + at for at in arrivals(self.rng, per_second, seconds)]
        self.sender.begin([self.plan.request(body, at, paced=True, label=label) for at in moments])

    def all_at_once(self, bodies: Sequence[Body], **fields: Any) -> list[Request]:
        """Begin to send these at the same moment; return their requests at once."""
        now = time.time() + START_SECONDS
        requests = [self.plan.request(body, now, **fields) for body in bodies]
        self.sender.begin(requests)
        return requests

    def send(self, bodies: Sequence[Body], **fields: Any) -> list[Request]:
        """Send these at the same moment and wait for their answers."""
        requests = self.all_at_once(bodies, **fields)
        self.answered()
        return requests

    def send_keyed(self, bodies: Sequence[tuple[str, Body]], label: str) -> list[Request]:
        """Send these once each, at the same moment, with the given keys; wait for their answers."""
        now = time.time() + START_SECONDS
        requests = [self.plan.request(body, now, "keyed", label=label, key=key) for key, body in bodies]
        self.sender.begin(requests)
        self.answered()
        return requests

    def as_accepted(self, count: int, body: Body, senders: int = 24) -> None:
        """Begin to send requests as fast as they are accepted, until `count` are; return at once."""
        self.sender.begin_until(count, lambda: self.plan.request(body, time.time()), senders)

    # --- faults

    def inject(self, kind: str, service: str) -> Fault:
        """Do something to a service; record it, and whether it was seen to have its effect."""
        fault = faults.inject(self.driver, kind, service)
        self.faults.append(fault)
        return fault

    def heal(self, fault: Fault) -> None:
        """Start what was killed, or let what was paused continue."""
        if fault.kind != faults.PAUSE:
            self.watch.started(fault.service)
        faults.heal(self.driver, fault)

    def heal_all(self) -> None:
        for fault in self.faults:
            if fault.ended is None:
                self.heal(fault)

    @contextmanager
    def fault(self, kind: str, service: str) -> Iterator[Fault]:
        """Have a fault in the block, and heal it at its end."""
        fault = self.inject(kind, service)
        try:
            yield fault
        finally:
            self.heal(fault)

    def follow(self, plan: Sequence[faults.Planned]) -> None:
        """Inject the faults of a plan at their times, counted from now, and heal each before the next."""
        zero = time.monotonic()
        for number, planned in enumerate(plan, 1):
            self.pass_time(zero + planned.at - time.monotonic())
            fault = self.inject(planned.kind, planned.service)
            self.say(f"Fault {number} of {len(plan)}: {planned.kind} {planned.service}.")
            if fault.ended is None:
                self.pass_time(planned.lasts)
                self.heal(fault)

    # --- waiting and looking

    def pass_time(self, seconds: float) -> None:
        """Let time pass, because the drill says how long something lasts; tell how the load is doing."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.5))
            self.progress()

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> float | None:
        """Wait until something is so; return how many seconds that took, None when it was not so in time."""
        began = time.monotonic()

        def done() -> bool:
            self.progress()
            return condition() or time.monotonic() - began > seconds

        wait_until(done, seconds + 30, what, "make drills", every=0.05)
        return took if (took := time.monotonic() - began) <= seconds else None

    def progress(self) -> None:
        if time.monotonic() - self._told > PROGRESS_SECONDS:
            self._told = time.monotonic()
            waiting = f", {self.watch.depths[-1][1]} waiting" if self.watch.depths else ""
            self.say(f"{time.time() - self.began:4.0f} s: {self.sender.accepted} accepted{waiting}.")

    def answered(self) -> None:
        """Wait until every request has its answer."""
        self.wait(lambda: not self.sender.busy, 600, "the load to be answered")
        self.sender.finish(1)

    def lines(self) -> list[Line]:
        """Return all log lines since the drill began."""
        return logs.read(self.driver, self.began)

    def consuming(self, worker: str, after: float = 0) -> bool:
        """Tell whether a worker consumes from its queues, and began to later than `after`."""
        return ready.is_ready(self.stack, worker, after)

    def wait_consuming(self, workers: Sequence[str] = WORKERS, seconds: float = READY_SECONDS) -> float | None:
        """Wait until workers consume; return how many seconds that took, None when they did not in time."""
        return self.wait_ready(workers, seconds)

    def wait_ready(self, services: Sequence[str], seconds: float = READY_SECONDS) -> float | None:
        """Wait until services do their work; return how many seconds that took, None when they did not in time."""
        return self.wait(lambda: not ready.not_ready(self.stack, services), seconds, f"{', '.join(services)}")
