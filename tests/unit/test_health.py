"""A container's health check: waits until the service is ready, and later tells when it no longer is."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clew.core.paths import STACK

Environment = dict[str, str]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Where the check finds its files, and a `sleep` that takes no time."""
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
        "READY_FILE": str(tmp_path / "worker-ready"),
    }


@pytest.fixture
def checks(environment: Environment) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for check in started:
        check.kill()
        check.wait()


def start(service: str, environment: Environment) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["bash", str(STACK / "health.sh"), service], env=environment)


def test_the_first_check_waits_and_a_later_one_tells_that_the_port_is_closed(
    environment: Environment, checks: list[subprocess.Popen[bytes]]
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = str(server.getsockname()[1])
        checks.append(start(port, environment))
        with pytest.raises(subprocess.TimeoutExpired):
            checks[0].wait(0.5)
        server.listen(50)
        assert checks[0].wait(10) == 0
        assert start(port, environment).wait(10) == 0
    assert start(port, environment).wait(10) != 0


def test_a_worker_whose_heart_stands_still_is_not_ready(
    environment: Environment, checks: list[subprocess.Popen[bytes]]
) -> None:
    beat = Path(environment["READY_FILE"])
    checks.append(start("worker", environment))
    with pytest.raises(subprocess.TimeoutExpired):
        checks[0].wait(0.5)
    beat.touch()
    assert checks[0].wait(10) == 0
    os.utime(beat, (time.time() - 60,) * 2)
    assert start("worker", environment).wait(10) != 0
