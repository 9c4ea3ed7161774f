"""Saved notebooks: without contradictions, each of one execution, and rewritten all or not at all."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from clew.core.errors import ClewError
from clew.lab import lessons

NOTEBOOKS = [pytest.param(path, id=path.stem) for path in lessons.lessons()]
TASK_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def third(tmp_path: Path) -> Path:
    return Path(shutil.copy(lessons.lessons(["03"])[0], tmp_path))


def edited(path: Path, pattern: str, replacement: str) -> Any:
    """Return a notebook whose outputs alone differ, at least once, in what `pattern` finds."""
    notebook, count = lessons.saved(path), 0
    for cell in lessons.code_cells(notebook):
        for output in cell.outputs:
            values = output.get("data", output)
            for kind in {"text", "text/plain", "text/html"} & set(values):
                values[kind], found = re.subn(pattern, replacement, values[kind])
                count += found
    assert count
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_saved_with_real_outputs_of_this_ladder(path: Path) -> None:
    notebook = lessons.saved(path)
    assert all(cell.execution_count for cell in lessons.code_cells(notebook))
    assert lessons.contradictions(notebook) == []
    assert not [cell.id for cell in lessons.code_cells(notebook) for o in cell.outputs if o.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_saved_as_jupyterlab_writes_it(path: Path) -> None:
    notebook = json.loads(path.read_text())
    assert path.read_text() == json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


def test_a_contradiction_is_found(third: Path) -> None:
    notebook = lessons.saved(third)
    for _, fact in lessons.facts(notebook):
        if "verdicts" in fact:
            fact["verdicts"][3] = "kept"
    found = lessons.contradictions(notebook)
    assert found[0].startswith("cell tool: ")
    assert "expected kept, kept, kept, missing, missing" in found[0]
    for cell in lessons.code_cells(notebook):
        cell.outputs = []
    assert lessons.contradictions(notebook) == ["no output says anything that could be checked"]


def test_a_contradiction_in_the_experiment_or_the_lattice_is_found() -> None:
    experiment = lessons.saved(lessons.lessons(["07"])[0])
    for _, fact in lessons.facts(experiment):
        for outcome in fact.get("outcomes", ()):
            outcome["status_code"] = 201
    assert "11000 ended as 201, None" in "\n".join(lessons.contradictions(experiment))
    lattice = lessons.saved(lessons.lessons(["05"])[0])
    for _, fact in lessons.facts(lattice):
        if "of" in fact:
            fact["as_predicted"] -= 1
    assert lessons.contradictions(lattice) == ["cell lattice: 31 of 32 as predicted"]


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"\d+\.\d ms", "7.7 ms"),
        (r"server-\d", "server-3"),
        (r"worker-\d", "worker-2"),
        (TASK_ID.pattern, "64cecbac-6e28-4001-b1a7-0d9a3f6c5e21"),
    ],
)
def test_a_notebook_that_differs_only_in_noise_is_left_as_it_is(third: Path, pattern: str, replacement: str) -> None:
    before = third.read_text()
    assert lessons.save(third, edited(third, pattern, replacement)) is False
    assert third.read_text() == before


@pytest.mark.parametrize(
    ("pattern", "replacement"), [(r"\$1,\d+\.\d+", "$1,111.11"), ("queue-service", "queue"), ("missing", "kept")]
)
def test_one_difference_that_matters_replaces_all_outputs(third: Path, pattern: str, replacement: str) -> None:
    notebook = edited(third, pattern, replacement)
    for cell in lessons.code_cells(notebook):
        for output in cell.outputs:
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = re.sub(r"\d+\.\d ms", "7.7 ms", output.data["text/plain"])
    assert lessons.save(third, notebook) is True
    assert lessons.saved(third) == notebook
    assert "7.7 ms" in third.read_text()


def test_outputs_that_are_missing_are_written(third: Path) -> None:
    notebook = lessons.saved(third)
    emptied = lessons.saved(third)
    for cell in lessons.code_cells(emptied):
        cell.outputs, cell.execution_count = [], None
    assert lessons.save(third, emptied) is True
    assert lessons.save(third, notebook) is True
    assert lessons.saved(third) == notebook


def test_notebooks_are_named_by_how_they_begin() -> None:
    assert [path.stem for path in lessons.lessons(["03", "0", "1"])] == [path.stem for path in lessons.lessons()]
    with pytest.raises(ClewError, match="no notebook 99; there are 00-as-found") as told:
        lessons.lessons(["99"])
    assert told.value.next_step == "make lab"


def test_a_check_that_did_not_hold_is_a_contradiction() -> None:
    notebook = lessons.saved(lessons.lessons(["08"])[0])
    for cell, fact in lessons.facts(notebook):
        if cell == "breaker":
            fact["checks"][0].update(ok=None, found="not measured")
    [told] = lessons.contradictions(notebook)
    assert told == "cell breaker: accepted while nobody consumes: not measured, expected 500"


@pytest.mark.parametrize(("pattern", "replacement", "written"), [
    (r"\d+ ms", "77777 ms", False),
    ("<rect class=\"run\"", "<rect class=\"cut\"", False),
    ("slowest answer", "worst answer", True),
])  # fmt: skip
def test_measured_numbers_and_pictures_are_noise_and_words_are_not(
    tmp_path: Path, pattern: str, replacement: str, written: bool
) -> None:
    path = Path(shutil.copy(lessons.lessons(["08"])[0], tmp_path))
    assert lessons.save(path, edited(path, pattern, replacement)) is written
