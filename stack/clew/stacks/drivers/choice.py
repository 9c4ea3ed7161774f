"""Which driver runs a stack: the one it is up with, else the one DRIVER names, else docker where it can, else local."""

from __future__ import annotations

import os

from clew import provision
from clew.core.errors import ClewError
from clew.stacks.drivers.base import Driver, Say
from clew.stacks.drivers.docker import DockerDriver, NoEngine, engine_is_silent
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.stack import Stack

DRIVERS: dict[str, type[LocalDriver] | type[DockerDriver]] = {"docker": DockerDriver, "local": LocalDriver}


SILENT = "The Docker engine does not answer."


def wanted_driver() -> str | None:
    """Return what DRIVER asks for, None when it asks for nothing.

    Raises:
        ClewError: DRIVER names no driver.
    """
    wanted = os.environ.get("DRIVER") or None
    if wanted is not None and wanted not in DRIVERS:
        raise ClewError(f"DRIVER is {wanted!r}; it may be docker or local, or be left out.", "make doctor DRIVER=")
    return wanted


def running_driver(stack: Stack, everywhere: bool = False) -> Driver | None:
    """Return the driver that the stack is up with, even if only in part; None when it is down.

    With DRIVER=local Docker is only asked when `everywhere`.

    Raises:
        ClewError: the Docker engine hangs, so it is unknown which containers are running; or DRIVER names no driver.
    """
    local = LocalDriver(stack)
    if set(local.status().values()) != {"absent"}:
        return local
    if wanted_driver() == "local" and not everywhere:
        return None
    docker = DockerDriver(stack)
    try:
        return docker if set(docker.status().values()) != {"absent"} else None
    except NoEngine:  # so nothing of the stack can run there
        return None


def driver_of(stack: Stack) -> Driver:
    """Return the driver that the stack is up with.

    Raises:
        ClewError: it is down.
    """
    driver = running_driver(stack)
    if driver is None:
        raise ClewError(f"{stack.title} is not up.", stack.command("up"))
    return driver


def why_not_docker(state: provision.DockerState) -> str | None:
    """Return why docker cannot be used at all, None when it can, perhaps after some fetching."""
    return None if state.reachable else state.reasons[0]


def choose(stack: Stack, say: Say) -> Driver:
    """Return a prepared driver for a stack that is down, and say which and why when it was not asked for."""
    wanted = wanted_driver()
    if wanted is not None:
        driver: Driver = DRIVERS[wanted](stack)
        driver.prepare(say)
        return driver
    reason = SILENT if engine_is_silent() else why_not_docker(provision.docker_state())
    if reason is None:
        try:
            driver = DockerDriver(stack)
            driver.prepare(say)
            return driver
        except provision.ImageUnavailable as error:
            reason = error.message
    say(f"Running as local processes. {reason}")
    driver = LocalDriver(stack)
    driver.prepare(say)
    return driver
