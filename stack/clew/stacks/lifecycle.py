"""Bringing a stack up and down, one command at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from clew import provision
from clew.core import locks
from clew.core.errors import ClewError
from clew.core.files import write_whole
from clew.core.paths import ROOT, shown
from clew.stacks import composefile, freshness, ready, refresh
from clew.stacks.drivers import Driver, Say, choose, running_driver
from clew.stacks.drivers.choice import wanted_driver
from clew.stacks.drivers.docker import SilentEngine
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.freshness import Snapshot
from clew.stacks.services import REDIS, SERVICES, WORKERS
from clew.stacks.stack import Stack

IDLE_WORKER_SECONDS = 10  # longer than a worker's heartbeat lives
SAY_SO_AFTER = 2  # of waiting for another command
INTERRUPTS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Started(NamedTuple):
    """What `start` did: with which driver, in how many seconds, and whether the whole stack was down before."""

    driver: Driver
    seconds: float
    was_down: bool


@contextlib.contextmanager
def only_one(stack: Stack, seconds: float = 120) -> Iterator[None]:
    """Let one command at a time start or end the stack; a long wait is said on standard error."""
    what = f"another command that starts or ends {stack.called}"
    path = stack.state / "lock"
    words = f"Waiting for {what}, up to {seconds:.0f} s."
    told = threading.Timer(SAY_SO_AFTER, print, [words], {"file": sys.stderr, "flush": True})
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.held(path, seconds, what, stack.command("status"), on_wait=told.start))
        except PermissionError as error:
            running_driver(stack)  # if another user runs the stack, this says so
            raise provision.not_writable(path, error) from None
        finally:
            told.cancel()
        yield


@contextlib.contextmanager
def reserved(stack: Stack) -> Iterator[None]:
    """Keep a stack, its folder included, for this process: from start to end, over many ups and restarts.

    Raises:
        ClewError: another process has it; it is named.
    """
    path = stack.state / "reserved"

    def refuse() -> None:
        holder = path.read_text()
        named = f" (process {holder})" if holder else ""
        raise ClewError(
            f"{stack.title} is in use by another command{named}.", "wait until that command has ended, or end it"
        )

    with locks.held(path, 0, "", "", on_wait=refuse):
        path.write_text(str(os.getpid()))
        try:
            yield
        finally:
            path.write_text("")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Keep a signal from interrupting the end of a stack, which has deadlines of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Not SIG_IGN, which the commands that are started meanwhile would inherit.
    before = {number: signal.signal(number, lambda *_: None) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def up(stack: Stack, say: Say) -> tuple[Driver, float]:
    """Do what `start` does; return the driver and the seconds it took."""
    return start(stack, say)[:2]


@contextlib.contextmanager
def borrowed(stack: Stack, say: Say) -> Iterator[Started]:
    """Have a stack up in the block; one that was down before is taken down again."""
    started = start(stack, say)
    try:
        yield started
    finally:
        if started.was_down:
            say(f"Taking {stack.called} down again.")
            down(stack)


def start(stack: Stack, say: Say) -> Started:
    """Bring all nine services up and wait until they are ready.

    A service that runs is left as it is, unless one of the files that it runs has changed: it is restarted. When this
    fails or is interrupted, the services that this call started are taken down again.

    Raises:
        ClewError: a port is taken, a program or image is missing, a service did not become ready.
    """
    with only_one(stack):
        before = _running_driver(stack)
        wanted = wanted_driver()
        if before is not None and wanted not in (None, before.name):
            raise ClewError(f"{stack.title} is already up with the {before.name} driver.", stack.command("down"))
        if before is not None and (at := noted_port(stack)) not in (None, stack.port):
            raise ClewError(f"{stack.title} is already up on port {at}.", stack.command("down"))
        driver = before or choose(stack, say)
        driver.preflight()
        states = driver.status()
        was_down = set(states.values()) == {"absent"}
        snapshot = Snapshot.of(stack)  # the only one: what is edited from now on counts as changed
        changed = freshness.changed_since_start(stack, driver, snapshot)
        began = time.monotonic()
        try:
            _start(stack, driver, states, changed, snapshot, say)
        except BaseException as error:
            with contextlib.suppress(OSError):  # a terminal that was closed cannot be told
                if isinstance(error, KeyboardInterrupt):
                    say(f"Interrupted; stopping what was started for {stack.called}.")
            try:
                _roll_back(stack, driver, states)
            except ClewError as left:
                if not isinstance(error, ClewError):
                    raise
                reason = f"{error.message}\nWhat was started could not be ended: {left.message}"
                raise ClewError(reason, stack.command("down")) from None
            raise
        return Started(driver, time.monotonic() - began, was_down)


def _running_driver(stack: Stack) -> Driver | None:
    try:
        return running_driver(stack, everywhere=True)
    except SilentEngine:
        if wanted_driver() == "docker":
            raise
        return None  # if its containers run all the same, its ports are taken


def _start(
    stack: Stack,
    driver: Driver,
    states: dict[str, str],
    changed: dict[str, list[str]],
    snapshot: Snapshot,
    say: Say,
) -> None:
    described = {shown(path) for path in freshness.compose_files(stack)}
    redescribed = sorted(described & {path for paths in changed.values() for path in paths})
    if redescribed:
        composefile.read(stack.folder, stack.compose_environment)  # before anything ends: it must be readable
        say(f"Starting {stack.called} again ({driver.name} driver): {', '.join(redescribed)} has changed.")
        driver.down()
        states.update(dict.fromkeys(SERVICES, "absent"))
        changed = {}
    elif set(states.values()) == {"running"}:
        say(f"{stack.title} is up already ({driver.name} driver).")
    else:
        down = set(states.values()) == {"absent"}
        say(f"Starting {stack.called if down else 'the services that are not running'} ({driver.name} driver).")
    remember_port(stack)
    driver.up()
    try:
        if changed:
            refresh.restart_changed(stack, driver, changed, say)
        freshness.note(stack, driver.started(), snapshot)
        _wake_workers(stack, driver, states, say)
        ready.wait_ready(stack, say=say, driver=driver)
    except ClewError as error:
        raise ClewError(error.message + last_words(driver, error.message), stack.command("up")) from None


def _wake_workers(stack: Stack, driver: Driver, states: dict[str, str], say: Say) -> None:
    """Restart the workers that run and do not consume, as after a `message` that was killed."""
    ran = [worker for worker in WORKERS if states[worker] == "running"]
    with contextlib.suppress(ClewError):
        ready.wait_ready(stack, ran, seconds=IDLE_WORKER_SECONDS)
        return
    idle = ready.not_ready(stack, ran)
    if idle and ready.is_ready(stack, REDIS):
        say(f"Restarting {', '.join(idle)}, which do not consume.")
        snapshot = Snapshot.of(stack)
        driver.restart(idle)
        freshness.note(stack, driver.started(), snapshot, idle)


def _roll_back(stack: Stack, driver: Driver, states: dict[str, str]) -> None:
    """End the services that this `start` started."""
    with undisturbed():
        if set(states.values()) == {"absent"}:
            _forget(stack)
            driver.down()
        else:
            driver.discard([service for service, state in states.items() if state in ("absent", "stopped")])


def last_words(driver: Driver, message: str) -> str:
    """Return the last log lines of each service that a message names, so that they outlive the services."""
    try:
        logs = driver.logs()
    except ClewError:
        return ""
    lines = {service: [line for line in logs.get(service, []) if line.strip()] for service in SERVICES}
    named = [service for service in SERVICES if service in message]
    return "".join(f"\n{service}: {line[:300]}" for service in named for line in lines[service][-3:])


def down(stack: Stack) -> str | None:
    """End all of a stack, also what a crash left behind; return the name of the driver it was up with, if it was.

    Raises:
        ClewError: something did not end, or the Docker engine hangs, so that it is unknown.
    """
    with only_one(stack), undisturbed():
        try:
            driver = running_driver(stack, everywhere=True)
        except SilentEngine:
            LocalDriver(stack).down()
            if wanted_driver() != "local":
                raise
            return None
        (driver or LocalDriver(stack)).down()
        _forget(stack)
        return driver.name if driver else None


def require_nothing_left() -> None:
    """Make sure that nothing runs from this checkout's `.venv` and `.clew`, so that they can be removed.

    Raises:
        ClewError: something does; it is named.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    folders = (f"{ROOT}/.venv/", f"{ROOT}/.clew/")
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid in own:
                continue
            words = process.cmdline()[:2]  # a script's second word is the script
            if words and any(os.path.join(process.cwd(), word).startswith(folders) for word in words):  # noqa: PTH118
                left.append(f"{process.name()} (process {process.pid})")
    if left:
        raise ClewError(f"Still running from this checkout: {', '.join(left[:5])}.", "end them, then make clean")


def _forget(stack: Stack) -> None:
    (stack.state / "port").unlink(missing_ok=True)
    freshness.forget(stack)


def noted_port(stack: Stack) -> int | None:
    """Return where `up` put the front door, None when the stack is not up."""
    note = stack.state / "port"
    return int(note.read_text()) if note.exists() else None


def remember_port(stack: Stack) -> None:
    """Note the front door's port for the commands that come after `up`."""
    write_whole(stack.state / "port", str(stack.port))
