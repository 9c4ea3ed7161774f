"""A stage that runs: its answers come from nine services and their logs."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs, message, trace, two
from clew.evidence.trace import Run
from clew.evidence.two import Two
from clew.lab import crowd
from clew.lab.backend import CannotStart, Data, progress
from clew.stacks import lifecycle, ready
from clew.stacks.drivers import driver_of, running_driver
from clew.stacks.services import SERVICES
from clew.stacks.stack import Stack


class LiveStage:
    """See `Backend` for what each method does."""

    note = None

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.started_here = False

    def up(self) -> str:
        if (driver := running_driver(self.stack)) is not None:
            states = driver.status()
            idle = ready.not_ready(self.stack)
            dead = [name for name in SERVICES if states[name] != "running" or name in idle]
            if dead:
                reason = f"{self.stack.title} is up, but not ready: {', '.join(dead)}."
                raise ClewError(reason, self.stack.command("up"))
        else:
            self._start()
        until = " They keep running until stage.down() or make down." if self.started_here else ""
        return f"{self.stack.title} is up: nine of nine services are ready.{until}"

    def _start(self) -> None:
        interrupted = ClewError(f"Interrupted: {self.stack.title} is down again.", "stage.up()")
        with progress() as say:
            try:
                self.started_here = lifecycle.start(self.stack, say).was_down
            except KeyboardInterrupt:
                raise interrupted from None
            except ClewError as error:
                raise CannotStart(error.message, error.next_step) from None
            try:
                client.warm_up(self.stack)
            except KeyboardInterrupt:
                self.down()
                raise interrupted from None

    def down(self) -> None:
        if self.started_here:
            lifecycle.down(self.stack)
            self.started_here = False

    def submit(self, correlation_id: str, data: Data | None) -> client.Answer:
        self._require_up()
        return client.send_task(self.stack, correlation_id, client.seeded_body(data))

    def crowd(self) -> list[client.Answer]:
        self._require_up()
        return crowd.send(self.stack, driver_of(self.stack))[0]

    def new_key(self) -> str:
        return f"order-{uuid.uuid4()}"

    def click(self, correlation_id: str, key: str, data: Data | None) -> client.Answer:
        self._require_up()
        return client.send(self.stack, correlation_id, client.seeded_body(data), key=key)

    def lines(self, since: client.Answer | None) -> list[Line]:
        driver = driver_of(self.stack)
        if since is None:
            return logs.read(driver)
        client.result(self.stack, since.task_id)
        found: list[Line] = []

        def logged() -> bool:
            found[:] = logs.read(driver, since.sent_at - trace.CLOCK_SLACK)
            return any("duration_ms" in line for line in logs.with_id(found, since.task_id))

        next_step = self.stack.command("status")
        wait_until(logged, trace.LINES_SECONDS, "the worker's last log line", next_step, every=0.03)
        return found

    def trace(self, correlation_id: str, data: Data | None) -> Run:
        self._require_up()
        return trace.trace(self.stack, correlation_id, client.seeded_body(data))

    def two(self) -> Two:
        self._require_up()
        return two.two(self.stack)

    def once(self, correlation_id: str) -> Run:
        started_before = self.started_here
        self.up()
        try:
            return self.trace(correlation_id, None)
        finally:
            if not started_before:
                self.down()

    def message(self, correlation_id: str) -> Data:
        self._require_up()
        found = message.message(self.stack, correlation_id, client.seeded_body())
        client.result(self.stack, found["task_id"])
        return found

    def nobody_consuming(self) -> AbstractContextManager[None]:
        self._require_up()
        return message.nobody_consuming(self.stack)

    def ask(self, method: str, task_id: str) -> Data:
        self._require_up()
        return client.ask(self.stack, method, task_id)

    def _require_up(self) -> None:
        if running_driver(self.stack) is None:
            raise ClewError(f"{self.stack.title} is not up.", "stage.up()")
