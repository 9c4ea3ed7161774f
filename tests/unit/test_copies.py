"""The learner's copies of the notebooks: without outputs, and never written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from clew.core.errors import ClewError
from clew.lab import copies, lessons


class Folders:
    """One original and the learner's folder; `said` is what was told."""

    def __init__(self, path: Path) -> None:
        self.original = path / "01.ipynb"
        self.mine = path / "mine"
        self.said: list[str] = []

    def write(self, path: Path, source: str, output: str = "") -> None:
        cell = nbformat.v4.new_code_cell(source, execution_count=3, id="a")
        if output:
            cell.outputs = [nbformat.v4.new_output("stream", text=output)]
        path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))

    def refresh(self) -> str:
        self.said.clear()
        copies.refresh([self.original], self.mine, self.said.append)
        return " ".join(self.said)

    @property
    def copy(self) -> Any:
        return json.loads((self.mine / "01.ipynb").read_text())["cells"][0]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path)
    made.write(made.original, "1 + 1", "the answer")
    return made


def test_a_copy_has_the_code_and_no_outputs_and_the_original_keeps_its_own(folders: Folders) -> None:
    before = folders.original.read_text()
    assert "1 of 1 are new" in folders.refresh()
    assert (folders.copy["source"], folders.copy["outputs"], folders.copy["execution_count"]) == (["1 + 1"], [], None)
    assert folders.original.read_text() == before
    assert "0 of 1 are new" in folders.refresh()


def test_what_a_learner_executed_or_wrote_stays(folders: Folders) -> None:
    folders.refresh()
    folders.write(folders.mine / "01.ipynb", "1 + 2", "my output")
    folders.refresh()
    assert (folders.copy["source"], folders.copy["outputs"][0]["text"]) == (["1 + 2"], ["my output"])


def test_an_edited_copy_stays_when_the_original_changes_and_that_is_said(folders: Folders) -> None:
    folders.refresh()
    folders.write(folders.mine / "01.ipynb", "mine")
    folders.write(folders.original, "new")
    said = folders.refresh()
    assert folders.copy["source"] == ["mine"]
    assert "Yours has edits, so it stays" in said and "make lab again" in said


def test_a_copy_that_nobody_edited_follows_its_original(folders: Folders) -> None:
    folders.refresh()
    folders.write(folders.mine / "01.ipynb", "1 + 1", "only executed")
    folders.write(folders.original, "new", "the new answer")
    assert "it is replaced" in folders.refresh()
    assert (folders.copy["source"], folders.copy["outputs"]) == (["new"], [])


def test_a_copy_of_unknown_origin_is_left_alone(folders: Folders) -> None:
    folders.mine.mkdir()
    folders.write(folders.mine / "01.ipynb", "from elsewhere")
    assert "stays as it is" in folders.refresh()
    assert folders.copy["source"] == ["from elsewhere"]


def test_a_damaged_copy_is_named_with_the_way_out(folders: Folders) -> None:
    folders.refresh()
    (folders.mine / "01.ipynb").write_text("{")
    folders.write(folders.original, "new")
    with pytest.raises(ClewError, match=r"01\.ipynb cannot be read as a notebook") as error:
        folders.refresh()
    assert "mv " in error.value.next_step


def test_all_notebooks_can_be_copied(tmp_path: Path) -> None:
    copies.refresh(lessons.lessons(), tmp_path / "mine", lambda text: None)
    made = sorted((tmp_path / "mine").glob("*.ipynb"))
    assert [path.name for path in made] == [path.name for path in lessons.lessons()]
    for path in made:
        cells = json.loads(path.read_text())["cells"]
        assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
        assert any(cell["cell_type"] == "markdown" for cell in cells)


@pytest.mark.parametrize("noted", [None, "not JSON"])
def test_without_a_readable_note_every_copy_counts_as_edited(folders: Folders, noted: str | None) -> None:
    folders.refresh()
    note = folders.mine / copies.NOTED
    note.unlink() if noted is None else note.write_text(noted)
    folders.write(folders.mine / "01.ipynb", "my prediction")
    folders.refresh()
    assert folders.copy["source"] == ["my prediction"]
