"""The notebooks, restarted and run from top to bottom: all as replay, and all but one on real stacks.

Those of ALONE bring their stages up and down themselves, or stacks of their own. The others find their stages up, which
are started once while the tests go up the ladder: that takes longer than most lessons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clew.lab import lessons
from clew.ladder import STAGE_LIST
from clew.stacks import lifecycle
from clew.stacks.drivers import running_driver
from clew.stacks.stack import all_stacks, stage_stack

NOTEBOOKS = lessons.lessons()
ALONE = lessons.lessons(["00", "07", "08", "09"])
REPLAYED = lessons.lessons(["11"])  # tests/stages/test_ways.py runs its services, for fewer seconds
ALWAYS_THE_SAME = ("lattice", "power-cut", "check", "check-2")  # recorded runs, and what is not about a run
ON_STAGES = [path for path in NOTEBOOKS if path not in ALONE + REPLAYED]


def titles_up() -> list[str]:
    return [stack.title for stack in all_stacks() if running_driver(stack) is not None]


def run(path: Path, replay: bool) -> None:
    notebook = lessons.execute(path, replay)
    assert lessons.contradictions(notebook) == []
    replays = {fact["replay"] for cell, fact in lessons.facts(notebook) if cell not in ALWAYS_THE_SAME}
    # What is not about a run, such as a check's words, says that it is no replay either way.
    assert (True in replays) is replay
    counts = [cell.execution_count for cell in lessons.code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_as_replay(path: Path) -> None:
    run(path, replay=True)


@pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)
def test_on_stacks_of_its_own(path: Path) -> None:
    run(path, replay=False)

    assert titles_up() == []


@pytest.fixture(scope="module")
def keep_up() -> Iterator[Callable[[set[int]], None]]:
    """Have the stages of these numbers up, and no other; those that are up already stay as they are."""

    def only(numbers: set[int]) -> None:
        for stage in STAGE_LIST:
            if stage.number not in numbers:
                lifecycle.down(stage_stack(stage.number))
        for number in sorted(numbers):
            lifecycle.up(stage_stack(number), print)

    yield only
    only(set())


@pytest.mark.parametrize("path", ON_STAGES, ids=lambda path: path.stem)
def test_on_stages_that_are_up(path: Path, keep_up: Callable[[set[int]], None]) -> None:
    last = min(int(path.stem[:2]), STAGE_LIST[-1].number)
    keep_up({last - 1, last})
    before = titles_up()

    run(path, replay=False)

    assert titles_up() == before == [f"Stage {last - 1}", f"Stage {last}"]
