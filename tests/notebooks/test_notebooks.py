"""The notebooks, restarted and run from top to bottom: all as replay, all on stacks of their own, two on stacks that
are up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clew.lab import lessons
from clew.ladder import STAGE_LIST
from clew.stacks import lifecycle
from clew.stacks.drivers import running_driver
from clew.stacks.stack import all_stacks, stage_stack, strict_stack

NOTEBOOKS = [pytest.param(path, id=path.stem) for path in lessons.lessons()]


def stage_number(path: Path) -> int:
    return min(int(path.stem[:2]), STAGE_LIST[-1].number)


def run(path: Path, replay: bool) -> None:
    notebook = lessons.execute(path, replay)
    assert lessons.contradictions(notebook) == []
    replays = {fact["replay"] for cell, fact in lessons.facts(notebook) if cell not in ("lattice", "check")}
    # What is not about a run, such as a check's words, says that it is no replay either way.
    assert (True in replays) is replay
    counts = [cell.execution_count for cell in lessons.code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_as_replay(path: Path) -> None:
    run(path, replay=True)


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_on_stacks_of_its_own(path: Path) -> None:
    run(path, replay=False)
    assert [stack.title for stack in all_stacks() if running_driver(stack) is not None] == []


@pytest.fixture
def up(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A notebook whose stage is up."""
    (path,) = lessons.lessons([request.param])
    stack = stage_stack(stage_number(path))
    lifecycle.up(stack, print)
    yield path
    lifecycle.down(stack)


@pytest.mark.parametrize("up", ["04", "06"], indirect=True)
def test_on_a_stack_that_is_up(up: Path) -> None:
    run(up, replay=False)
    number = stage_number(up)
    assert running_driver(stage_stack(number)) is not None
    others = [strict_stack(), *(stage_stack(stage.number) for stage in STAGE_LIST if stage.number != number)]
    assert [stack.title for stack in others if running_driver(stack) is not None] == []
