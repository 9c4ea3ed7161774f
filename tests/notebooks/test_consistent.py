"""What is shown in several places comes from one run: recordings and saved outputs agree with each other."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from clew import ladder
from clew.lab import lessons, recordings
from clew.lab.tries.hints import HINTS

TASK_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_the_same_request_has_the_same_result_on_every_stage_and_mix() -> None:
    entries = recordings.load("stages")["runs"] + recordings.load("lattice")["runs"]
    results = [recordings.run_of(entry).result for entry in entries]
    assert len(results) == 38
    assert {result["seed"] for result in results} == {7}
    assert len({result["var_amount"] for result in results}) == 1


def task_ids(path: Path) -> dict[str, list[str]]:
    """Return the task IDs that each cell's outputs name, in order, each once."""
    cells = lessons.code_cells(lessons.saved(path))
    return {cell.id: list(dict.fromkeys(TASK_ID.findall(json.dumps(cell.outputs)))) for cell in cells}


def test_all_cells_of_notebook_5_show_the_same_two_requests() -> None:
    found = task_ids(lessons.lessons(["05"])[0])
    assert len(found["find"]) == 2
    assert set(found["find"]) == {*found["by-hand"], *found["tool"]}


def test_all_cells_of_notebook_6_show_the_same_tasks() -> None:
    found = task_ids(lessons.lessons(["06"])[0])
    first, _, last = found["run"]
    assert (found["trace"], found["status"], found["cancel-late"]) == ([last], [first], [first])
    assert len(found["cancel"]) == 1
    assert not set(found["cancel"]) & set(found["run"])


def test_three_clicks_in_notebook_6_show_one_task() -> None:
    found = task_ids(lessons.lessons(["06"])[0])
    task = found["clicks"][-1]
    assert set(found["clicks"]) - {task} == {key_of(lessons.lessons(["06"])[0])}
    assert (found["find-first"], found["find-second"]) == ([task], [task])
    assert task not in found["run"]


def key_of(path: Path) -> str:
    """Return the UUID in the idempotency key that the clicks had."""
    [cell] = [cell for cell in lessons.code_cells(lessons.saved(path)) if cell.id == "clicks"]
    found = re.search(rf"order-({TASK_ID.pattern})", json.dumps(cell.outputs))
    assert found
    return found[1]


def test_the_trails_of_notebook_9_end_where_its_text_says() -> None:
    cells = {
        cell.id: json.dumps(cell.outputs) for cell in lessons.code_cells(lessons.saved(lessons.lessons(["09"])[0]))
    }
    assert "Rehearsal START" in cells["trail"]
    assert "Rehearsal COMPLETE" not in cells["trail"]
    for cell in ("trail-durable", "twice"):
        assert "Sent again" in cells[cell]
        assert "Rehearsal COMPLETE" in cells[cell]
    assert "Booking already applied" in cells["twice"]


@pytest.mark.parametrize("number", range(1, 6))
def test_what_a_notebook_has_of_a_layer_is_what_the_layer_is(number: int) -> None:
    layer = ladder.changed_layer(number)
    cells = {cell.id: cell.source for cell in lessons.saved(lessons.lessons([f"0{number}"])[0]).cells}
    code = re.search(r"code = r(?:'''|\"\"\")\n(.*)(?:'''|\"\"\")\n", cells["try"], re.DOTALL)
    assert code is not None
    assert code[1] == ladder.source(layer, fixed=False).read_text()
    text = html.unescape(re.sub(r"</?code>", "`", cells["try-text"]))
    assert all(hint in text for hint in HINTS[layer.hop])
