"""Bringing a stack up and down."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from clew.core import locks
from clew.core.errors import ClewError
from clew.stacks import ready
from clew.stacks.drivers import Driver, Say, choose, running_driver
from clew.stacks.drivers.choice import wanted_driver
from clew.stacks.services import SERVICES
from clew.stacks.stack import Stack


@contextlib.contextmanager
def only_one(stack: Stack, seconds: float = 120) -> Iterator[None]:
    """Let one command at a time start or end the stack."""
    what = f"another command that starts or ends {stack.title}"
    with locks.held(stack.state / "lock", seconds, what, stack.command("status")):
        yield


def up(stack: Stack, say: Say) -> tuple[Driver, float]:
    """Bring all nine services up and wait until they are ready; return the driver and the seconds it took.

    What already runs is left as it is. When it fails or is interrupted, what this call started is taken down again.

    Raises:
        ClewError: a port is taken, a program or image cannot be had, a service did not become ready.
    """
    with only_one(stack):
        before = running_driver(stack)
        wanted = wanted_driver()
        if before is not None and wanted not in (None, before.name):
            raise ClewError(f"{stack.title} is already up with the {before.name} driver.", stack.command("down"))
        if before is not None and (at := noted_port(stack)) not in (None, stack.port):
            raise ClewError(f"{stack.title} is already up on port {at}.", stack.command("down"))
        driver = before or choose(stack, say)
        started = time.monotonic()
        try:
            if before is not None and set(before.status().values()) == {"running"}:
                say(f"{stack.title} is up already ({driver.name} driver).")
            else:
                say(f"Starting {stack.title if before is None else 'what is not up'} ({driver.name} driver).")
            remember_port(stack)
            driver.up()
            try:
                ready.wait_ready(stack)
            except ClewError as error:
                raise ClewError(error.message + last_words(driver, error.message), stack.command("up")) from None
        except BaseException as error:
            if before is None:
                if isinstance(error, KeyboardInterrupt):
                    say(f"Interrupted; taking {stack.title} down again.")
                (stack.state / "port").unlink(missing_ok=True)
                driver.down()
            raise
        return driver, time.monotonic() - started


def last_words(driver: Driver, message: str) -> str:
    """Return the last log lines of each service that a message names, so that they outlive the services."""
    try:
        logs = driver.logs()
    except ClewError:
        return ""
    named = [service for service in SERVICES if service in message and logs.get(service)]
    return "".join(f"\n{service}: {line[:300]}" for service in named for line in logs[service][-3:])


def down(stack: Stack) -> str | None:
    """End all of a stack, also what a crash left behind; return the name of the driver it was up with, if it was."""
    with only_one(stack):
        driver = running_driver(stack)
        if driver is not None:
            driver.down()
        else:
            from clew.stacks.drivers.local import LocalDriver

            LocalDriver(stack).down()
        (stack.state / "port").unlink(missing_ok=True)
        return driver.name if driver else None


def noted_port(stack: Stack) -> int | None:
    """Return where `up` put the front door, None when the stack is not up."""
    note = stack.state / "port"
    return int(note.read_text()) if note.exists() else None


def remember_port(stack: Stack) -> None:
    """Note the front door's port for the commands that come after `up`."""
    temporary = stack.state / f"port.{os.getpid()}"
    temporary.write_text(str(stack.port))
    temporary.replace(stack.state / "port")
