"""A stage that is up, and whether a driver is there to bring it up."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from clew import provision
from clew.stacks.drivers import Driver
from clew.stacks.stack import Stack


@dataclass(frozen=True)
class Up:
    stack: Stack
    driver: Driver


def require(driver: str) -> None:
    """Skip, with the reason, what needs a driver that this machine does not have."""
    state = provision.docker_state()
    if driver == "docker" and not state.reachable:
        pytest.skip(f"docker driver: {state.reasons[0]}")
