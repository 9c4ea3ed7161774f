"""All notebooks, restarted and run from top to bottom: on stacks of their own, on stacks that are up, and as replay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clew.lab import lessons
from clew.ladder import STAGE_LIST
from clew.stacks import lifecycle
from clew.stacks.drivers import running_driver
from clew.stacks.stack import stage_stack

NOTEBOOKS = [pytest.param(path, id=path.stem) for path in lessons.lessons()]


def stage_number(path: Path) -> int:
    return min(int(path.stem[:2]), STAGE_LIST[-1].number)


@pytest.fixture(scope="module")
def stacks_up() -> Iterator[set[int]]:
    """The stages that the tests of this module brought up."""
    numbers: set[int] = set()
    yield numbers
    for number in numbers:
        lifecycle.down(stage_stack(number))


def run(path: Path, replay: bool) -> None:
    notebook = lessons.execute(path, replay)
    assert lessons.contradictions(notebook) == []
    replays = {fact["replay"] for cell, fact in lessons.facts(notebook) if cell not in ("lattice", "check")}
    # A word or a table about something else than a run is no replay, in neither mode.
    assert (True in replays) is replay
    counts = [cell.execution_count for cell in lessons.code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_as_replay(path: Path) -> None:
    run(path, replay=True)


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_on_stacks_of_its_own(path: Path) -> None:
    run(path, replay=False)
    assert running_driver(stage_stack(stage_number(path))) is None


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_again_on_a_stack_that_is_up(path: Path, stacks_up: set[int]) -> None:
    number = stage_number(path)
    lifecycle.up(stage_stack(number), print)
    stacks_up.add(number)
    run(path, replay=False)
    assert running_driver(stage_stack(number)) is not None
    for other in stacks_up - {number}:  # the stage before was up for the comparison
        lifecycle.down(stage_stack(other))
    stacks_up &= {number}


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_saved_with_real_outputs_of_this_ladder(path: Path) -> None:
    notebook = lessons.saved(path)
    assert all(cell.execution_count for cell in lessons.code_cells(notebook))
    assert lessons.contradictions(notebook) == []
    assert not [cell.id for cell in lessons.code_cells(notebook) for o in cell.outputs if o.get("name") == "stderr"]


def test_a_contradiction_is_found() -> None:
    notebook = lessons.saved(lessons.lessons(["03"])[0])
    for cell in lessons.code_cells(notebook):
        for output in cell.outputs:
            if "verdicts" in output.get("metadata", {}).get("clew", {}):
                output.metadata["clew"]["verdicts"][3] = "kept"
    assert "expected kept, kept, kept, missing, missing" in lessons.contradictions(notebook)[0]
    for cell in lessons.code_cells(notebook):
        cell.outputs = []
    assert lessons.contradictions(notebook) == ["no output says anything that could be checked"]


def test_saving_again_keeps_what_differs_only_in_noise(tmp_path: Path) -> None:
    source = lessons.lessons(["03"])[0]
    path = tmp_path / source.name
    path.write_text(source.read_text())
    notebook = json.loads(path.read_text())
    text = json.dumps(notebook)
    other = lessons.saved(path)
    for cell in lessons.code_cells(other):
        for output in cell.outputs:
            for kind, value in output.get("data", {}).items():
                output.data[kind] = re.sub(r"server-\d", "server-3", re.sub(r"\d+\.\d ms", "7.7 ms", value))
    lessons.save(path, other)
    assert json.loads(path.read_text()) == json.loads(text)
