"""Stacks of other processes, of other checkouts, and of other files than those on disk: nothing of them is ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from up import require, start

from clew import ladder, provision
from clew.core.errors import ClewError
from clew.core.paths import ROOT, STACK, STAGES
from clew.core.wait import wait_until
from clew.evidence.trace import trace
from clew.stacks import freshness, lifecycle, ready
from clew.stacks.services import API_SERVERS, SERVICES
from clew.stacks.stack import Stack, lattice_stack, stage_stack, strict_stack

DRIVERS = ("local", "docker")
QUEUE_SERVICE = "fastapi-app/services/queue_service.py"


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return how a command ended, and what it printed."""
    out, err = process.communicate(timeout=200)
    return process.returncode, out + err


@pytest.fixture
def copied_stage(tmp_path: Path) -> Iterator[Stack]:
    """Stage 3 in a folder of its own, whose files a test may edit."""
    folder = tmp_path / "stages/03-task-service"
    shutil.copytree(ladder.stage(3).folder, folder)
    (tmp_path / "stack").symlink_to(STACK)
    stack = replace(stage_stack(3), folder=folder)
    yield stack
    lifecycle.down(stack)


@pytest.mark.parametrize("driver_name", DRIVERS)
def test_a_file_edited_under_a_running_stack_gives_no_stale_verdict(
    driver_name: str, copied_stage: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(driver_name)
    monkeypatch.setenv("DRIVER", driver_name)
    stack, said = copied_stage, []
    driver, _ = lifecycle.up(stack, print)
    assert trace(stack).verdicts == ladder.stage(3).verdicts
    before = driver.started()

    shutil.copyfile(ladder.FIXED.folder / QUEUE_SERVICE, stack.folder / QUEUE_SERVICE)
    with pytest.raises(ClewError, match=r"queue_service\.py changed after fastapi-server-1, fastapi-server-2, fastapi"):
        trace(stack)
    lifecycle.up(stack, said.append)

    after = driver.started()
    assert {service for service in SERVICES if before[service] != after[service]} == set(API_SERVERS)
    assert [text for text in said if text.startswith(f"Restarting {', '.join(API_SERVERS)}:")]
    assert trace(stack).verdicts == ("kept", "kept", "kept", "kept", "missing")

    freshness.forget(stack)  # as if the tool had not started it
    (stack.folder / "nginx/nginx.conf").write_bytes(ladder.source(ladder.LAYERS[0], fixed=False).read_bytes())
    with pytest.raises(ClewError, match=r"nginx\.conf changed after nginx-loadbalancer started"):
        trace(stack)
    lifecycle.up(stack, print)
    assert trace(stack).verdicts == ("replaced", "replaced", "replaced", "replaced", "missing")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("driver_name", DRIVERS)
def test_of_two_lattices_the_second_is_refused_and_the_first_goes_on(driver_name: str) -> None:
    require(driver_name)
    stack = lattice_stack()
    first = start("lattice", DRIVER=driver_name)
    try:
        wait_until(lambda: not ready.not_ready(stack), 120, "the first lattice's stack", "")

        code, told = ended(start("lattice", DRIVER=driver_name))

        assert code == 1
        assert f"in use by another command (process {first.pid})" in told
        assert first.poll() is None
        wait_until(lambda: not ready.not_ready(stack), 60, "the first lattice's stack to be ready", "")
    finally:
        first.send_signal(signal.SIGHUP)  # as when its terminal is closed
        code, told = ended(first)
    assert code == 130, told
    assert lifecycle.running_driver(stack, everywhere=True) is None


def test_the_experiment_and_the_lattice_have_different_ports_folders_and_names() -> None:
    one, other = lattice_stack(), strict_stack()
    assert not set(one.ports.values()) & set(other.ports.values())
    assert (one.name, one.folder) != (other.name, other.folder)


def test_a_closed_terminal_takes_a_half_started_stack_down() -> None:
    stack = stage_stack(2)
    up = start("up", "2", DRIVER="local")
    wait_until(lambda: lifecycle.noted_port(stack) is not None, 60, "`up` to start services", "", every=0.02)
    up.send_signal(signal.SIGHUP)

    code, told = ended(up)

    assert code == 130, told
    assert lifecycle.running_driver(stack) is None


@pytest.mark.timeout(400)
@pytest.mark.parametrize("driver_name", DRIVERS)
def test_two_checkouts_side_by_side(driver_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same ports the second is refused, on others it runs; neither ends anything of the other."""
    require(driver_name)
    monkeypatch.setenv("DRIVER", driver_name)
    clone = tmp_path / "clone"
    for folder in (STAGES, STACK):
        shutil.copytree(folder, clone / folder.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    programs = [str(path.parent) for path in (provision.find_nginx(), provision.find_redis()) if path]
    environment = {
        "PYTHONPATH": str(clone / "stack"),
        "CLEW_STATE": str(clone / ".clew"),
        "PATH": ":".join([*programs, os.environ["PATH"]]),
    }
    elsewhere = {**environment, "CLEW_PORTS": str(int(os.environ["CLEW_PORTS"]) + 1)}
    stack = stage_stack(1)
    try:
        driver, _ = lifecycle.up(stack, print)
        before = driver.started()

        code, told = ended(start("up", "1", **environment))
        assert code == 1, told
        assert "is in use by" in told
        assert "up CLEW_PORTS=180" in told  # another PORT would not help
        code, told = ended(start("down", "1", **environment))
        assert code == 0, told
        assert "is down already" in told

        code, told = ended(start("up", "1", **elsewhere))
        assert code == 0, told
        code, told = ended(start("check", "1", **elsewhere))
        assert code == 0, told
        code, told = ended(start("down", "all", **environment))
        assert code == 0, told
        assert "Stage 1 (CLEW_PORTS=" in told

        assert driver.started() == before
        assert trace(stack).verdicts == ladder.stage(1).verdicts
    finally:
        ended(start("down", "all", **environment))
        lifecycle.down(stack)
