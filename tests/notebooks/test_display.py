"""What a cell shows, with HTML and without, live and replayed; and what `up` does to what is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import clew
from clew.core.errors import ClewError
from clew.lab.stage import Stage
from clew.stacks import lifecycle, ready
from clew.stacks.drivers import driver_of, running_driver
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.services import SERVICES
from clew.stacks.stack import stage_stack


@pytest.fixture
def stage_1(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("CLEW_REPLAY", "0")
    return clew.Stage(1)


def test_a_replay_says_so_in_every_display() -> None:
    stage, before = clew.replay(3), clew.replay(2)
    run = stage.send("MY-TRACE-123")
    shown = [
        stage.up(),
        run,
        run.trace(),
        run.timeline(),
        stage.message(),
        before.send() | run,
        stage.find(),
        stage.down(),
    ]
    shown += [stage.fix(before.send(), run), run.compared({}), clew.lattice(), stage.submit()]
    for display in shown:
        assert "Replay of a run recorded on " in repr(display), type(display)
        assert "Replay of a run recorded on " in display._repr_html_(), type(display)
        data, facts = display._repr_mimebundle_()
        assert data.keys() == {"text/plain", "text/html"}
        assert facts["clew"]["replay"] is True


def test_a_fix_is_tried_on_a_stack_that_runs_and_on_the_stage_before_it() -> None:
    told = clew.replay(2).try_fix("task-service", "pass")
    assert "only be tried on a stack that runs" in repr(told)
    with pytest.raises(ClewError, match="fixed on the stage before it, 2; this is stage 3") as wrong:
        clew.replay(3).try_fix("task-service", "pass")
    assert wrong.value.next_step == 'clew.Stage(2).try_fix("task-service", code)'
    with pytest.raises(ClewError, match="no layer 'flower'"):
        clew.replay(3).try_fix("flower", "pass")


def test_what_was_not_recorded_is_refused() -> None:
    with pytest.raises(ClewError, match="no request with the ID 'ANOTHER'"):
        clew.replay(3).send("ANOTHER")


def test_a_prediction_has_known_words() -> None:
    with pytest.raises(ClewError, match="'lost' is not a verdict"):
        clew.predict(nginx="lost")
    with pytest.raises(ClewError, match="'ngnix' is not a hop"):
        clew.predict(ngnix="kept")


def test_interrupted_up_leaves_nothing(stage_1: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(ready, "wait_ready", interrupted)
    with pytest.raises(ClewError, match="Stage 1 is down again"):
        stage_1.up()
    assert running_driver(stage_stack(1)) is None


def test_interrupted_diff_leaves_nothing(stage_1: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clew.evidence.trace.trace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stage_1.once()
    assert running_driver(stage_stack(1)) is None


def test_a_stack_that_was_up_is_left_alone_and_a_dead_service_is_named(stage_1: Stage) -> None:
    stack = stage_stack(1)
    lifecycle.up(stack, print)
    try:
        stage_1.up()
        stage_1.down()
        assert set(driver_of(stack).status().values()) == {"running"}
        driver_of(stack).stop("flower")
        with pytest.raises(ClewError, match="not ready: flower") as dead:
            clew.Stage(1).up()
        assert dead.value.next_step.startswith("make stage-1 up")
        assert driver_of(stack).status()["flower"] == "stopped"
    finally:
        lifecycle.down(stack)
    assert len(SERVICES) == 9


def test_a_stage_that_cannot_be_started_is_replayed_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_programs(*_: object) -> None:
        raise ClewError("nginx is not there.", "sudo apt-get install nginx")

    monkeypatch.setattr(LocalDriver, "prepare", no_programs)
    monkeypatch.delenv("CLEW_REPLAY", raising=False)
    stage = clew.Stage(2)
    told = repr(stage.up())
    assert "cannot be started: nginx is not there." in told
    assert "sudo apt-get install nginx" in told
    assert "Replay of a run recorded on " in told
    assert stage.send().run.stage == 2
    monkeypatch.setenv("CLEW_REPLAY", "0")
    with pytest.raises(ClewError, match="nginx is not there"):
        clew.Stage(2).up()


def test_the_command_line_does_not_load_what_notebooks_need() -> None:
    code = "import sys, clew.cli; print({'clew.lab', 'nbclient'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, env=os.environ.copy()
    )
    assert done.stdout.strip() == "set()"
