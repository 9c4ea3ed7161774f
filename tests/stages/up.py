"""A stage that is up, and whether a driver is there to bring it up."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from clew import provision
from clew.stacks.drivers import Driver
from clew.stacks.stack import Stack


@dataclass(frozen=True)
class Up:
    stack: Stack
    driver: Driver


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command as a person types it, in a process of its own; with the local driver unless told otherwise."""
    return subprocess.Popen(
        [sys.executable, "-m", "clew", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"DRIVER": "local", **os.environ, **environment},
    )


def require(driver: str) -> None:
    """Skip, with the reason, what needs a driver that this machine does not have."""
    state = provision.docker_state()
    if driver == "docker" and not state.reachable:
        pytest.skip(f"docker driver: {state.reasons[0]}")
