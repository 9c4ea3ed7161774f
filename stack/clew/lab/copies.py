"""The learner's copies of the notebooks: without outputs, because a saved output answers before it has asked.

A copy that somebody edited is never written again. What was copied is noted, so that a copy nobody edited can follow
its original.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.stacks.drivers import Say

NOTED = ".copied.json"


def refresh(originals: list[Path], folder: Path, say: Say) -> None:
    """Copy each notebook without its outputs, unless the learner has edited the copy; say what is new or kept.

    Raises:
        ClewError: a copy is not a notebook any more.
    """
    folder.mkdir(exist_ok=True)
    noted = folder / NOTED
    copied: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError, ValueError):  # without a note every copy counts as edited
        copied = json.loads(noted.read_text())
    new = 0
    for original in originals:
        copy = folder / original.name
        wanted = without_outputs(read(original))
        if copy.exists():
            if copied.get(original.name) == mark(wanted):
                continue
            if mark(read(copy)) != copied.get(original.name):
                say(
                    f"{original.name} has a new version. Yours has edits, so it stays as it is; for the new one rename "
                    f"{shown(copy)}, then type make lab again."
                )
                continue
            say(f"{original.name} has a new version, and you had not edited yours: it is replaced.")
        copy.write_text(importlib.import_module("nbformat").writes(wanted) + "\n")
        copied[original.name] = mark(wanted)
        new += 1
        noted.write_text(json.dumps(copied, indent=1) + "\n")
    say(f"Your copies of the notebooks are in {shown(folder)}, without outputs; {new} of {len(originals)} are new.")


def read(path: Path) -> Any:
    try:
        return importlib.import_module("nbformat").read(path, as_version=4)
    except Exception as error:  # noqa: BLE001 - nbformat raises many kinds, all of them about the file
        raise ClewError(
            f"{shown(path)} cannot be read as a notebook: {error}", f"mv {shown(path)} {shown(path)}.broken; make lab"
        ) from None


def without_outputs(notebook: Any) -> Any:
    """Return the notebook as if nobody had executed it."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def mark(notebook: Any) -> str:
    """Return what tells one notebook's text and code from another's, whatever its outputs are."""
    return hashlib.sha256(json.dumps([(cell.cell_type, cell.source) for cell in notebook.cells]).encode()).hexdigest()
