"""Executing the notebooks, checking their outputs against the truth table, and opening them in JupyterLab."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.lab import copies
from clew.lab.strict import Outcome
from clew.stacks import lifecycle
from clew.stacks.drivers import Say, running_driver
from clew.stacks.stack import all_stacks

FOLDER = ROOT / "notebooks"
COPIES = ROOT / "my-notebooks"  # the learner's
CELL_SECONDS = 240  # bringing up a stage with containers may take half of that on a busy machine
# Not fatal: the kernel's own warnings.
FATAL_WARNINGS = """import warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", module="ipykernel")"""
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}  # nor does it ask whether they are wanted
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# What differs between any two runs of the same lesson without saying anything new.
NOISE = (
    (r"<svg.*?</svg>", ""),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b", "<id>"),
    (r"(fastapi-server|celery-worker)-\d", r"\1"),
    (r"look-up \d", "look-up"),
    (r"drill-[0-9a-f]{8}-\d+", "<id>"),
    (r"\btry-[0-9a-f]{8}\b", "<id>"),
    (r"(?<![$\d,])\d+\.\d+|\b\d+(?= ms\b)", "<n>"),
    (r"\b(local|docker)\b", "<driver>"),
    (r" +", " "),
)

Notebook = Any


def lessons(names: Sequence[str] = ()) -> list[Path]:
    """Return the notebooks in order, only those whose names begin with one of `names` when there are some.

    Raises:
        ClewError: no notebook has such a name.
    """
    found = sorted(FOLDER.glob("*.ipynb"))
    wanted = [path for path in found if not names or any(path.stem.startswith(name) for name in names)]
    if not wanted:
        raise ClewError(
            f"There is no notebook {', '.join(names)}; there are {', '.join(p.stem for p in found)}.", "make lab"
        )
    return wanted


def require_packages() -> None:
    """Fail early when the notebooks' packages are not installed.

    Raises:
        ClewError: they are not.
    """
    if importlib.util.find_spec("nbclient") is None:
        raise ClewError(
            "The notebooks' packages are not installed.", "python3 stack/bootstrap.py run sql otel notebooks"
        )


def run(names: Sequence[str], replay: bool, write: bool, say: Say) -> None:
    """Execute notebooks from top to bottom in fresh kernels; report the time of each and of all.

    Raises:
        ClewError: a cell failed or warned, or an output contradicts the truth table.
    """
    require_packages()
    began = time.monotonic()
    problems = []
    for path in lessons(names):
        started = time.monotonic()
        notebook = execute(path, replay)
        found = contradictions(notebook)
        problems += [f"{path.name}: {problem}" for problem in found]
        if write and not found:
            save(path, notebook)
        say(f"{'○' if found else '●'} {path.stem:<24} {time.monotonic() - started:5.1f} s")
    say(f"  {'all':<24} {time.monotonic() - began:5.1f} s{', replayed' if replay else ''}")
    if problems:
        raise ClewError("\n".join(problems), "make lab")


def saved(path: Path) -> Notebook:
    return importlib.import_module("nbformat").read(path, as_version=4)


@contextlib.contextmanager
def stages_left_as_found() -> Iterator[None]:
    """If a notebook fails, it does not reach its own last cell: take down what is up then and was not before.

    Stacks of the mixes and of strict layers are left to the command that reserved them.
    """
    down = [stack for stack in all_stacks() if running_driver(stack) is None]
    try:
        yield
    except BaseException:
        for stack in down:
            if running_driver(stack) is not None:
                with contextlib.suppress(ClewError), lifecycle.reserved(stack):
                    lifecycle.down(stack)
        raise


def execute(path: Path, replay: bool) -> Notebook:
    """Return a notebook executed in a fresh kernel; warnings are errors.

    Raises:
        ClewError: a cell failed, did not end in time, or wrote to standard error.
    """
    nbformat, nbclient = importlib.import_module("nbformat"), importlib.import_module("nbclient")
    notebook = saved(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FATAL_WARNINGS))
    before = {name: os.environ.get(name) for name in ("CLEW_REPLAY", "JUPYTER_PREFER_ENV_PATH")}
    os.environ.update({"CLEW_REPLAY": "1" if replay else "0", "JUPYTER_PREFER_ENV_PATH": "1"})
    try:
        with stages_left_as_found():
            nbclient.NotebookClient(
                notebook,
                timeout=CELL_SECONDS,
                kernel_name="python3",
                extra_arguments=["--log-level=ERROR"],  # it warns that it uses TCP, which is loopback here
                record_timing=False,
                resources={"metadata": {"path": str(path.parent)}},
            ).execute()
    except nbclient.exceptions.CellTimeoutError:
        raise ClewError(f"{path.name}: a cell did not end within {CELL_SECONDS} s.", "make lab") from None
    except nbclient.exceptions.CellExecutionError as error:
        raise ClewError(f"{path.name}: {plain(str(error))}", "make lab") from None
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
    notebook.cells.pop(0)
    for cell in code_cells(notebook):
        if cell.execution_count:
            cell.execution_count -= 1
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = cell.execution_count
            if output.get("name") == "stderr":
                raise ClewError(f"{path.name}: cell {cell.id} wrote to standard error: {output.text}", "make lab")
    # As JupyterLab would write it, so that opening a notebook does not change it.
    notebook.metadata = {"kernelspec": KERNEL, "language_info": notebook.metadata.language_info}
    return notebook


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def code_cells(notebook: Notebook) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def facts(notebook: Notebook) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the facts of Clew's displays in a notebook, each with the ID of its cell."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "clew" in output.get("metadata", {}):
                yield cell.id, output["metadata"]["clew"]


def contradictions(notebook: Notebook) -> list[str]:
    """Return what in a notebook's outputs contradicts the truth table or the rule for mixes, a sentence each."""
    found = []
    seen = 0
    for cell, fact in facts(notebook):
        if "verdicts" in fact:
            seen += 1
            mix = fact.get("mix") or ladder.stage(fact["stage"]).mix
            if tuple(fact["verdicts"]) != ladder.expected(mix):
                found.append(f"cell {cell}: {', '.join(fact['verdicts'])}, expected {', '.join(ladder.expected(mix))}")
        if fact.get("as_predicted") != fact.get("of"):
            found.append(f"cell {cell}: {fact['as_predicted']} of {fact['of']} as predicted")
        for check in fact.get("checks", ()):
            seen += 1
            if check["ok"] is not True:
                found.append(f"cell {cell}: {check['what']}: {check['found']}, expected {check['should']}")
        for outcome in fact.get("outcomes", ()):
            seen += 1
            if not Outcome(**outcome).as_expected:
                found.append(f"cell {cell}: {outcome['mix']} ended as {outcome['status_code']}, {outcome['task']}")
    return found if seen else ["no output says anything that could be checked"]


def save(path: Path, notebook: Notebook) -> bool:
    """Write an executed notebook unless the saved one says the same; tell whether it was written.

    All outputs are replaced or none, so that they are of one execution: a task ID in one cell is that of the next.
    """
    if says(saved(path)) == says(notebook):
        return False
    path.write_text(importlib.import_module("nbformat").writes(notebook) + "\n")
    return True


def says(notebook: Notebook) -> list[tuple[str, int | None, list[str]]]:
    """Return what the outputs of each code cell say, noise aside, with the cell's ID and its execution count."""
    return [(cell.id, cell.execution_count, without_noise(cell.outputs)) for cell in code_cells(notebook)]


def without_noise(outputs: Any) -> list[str]:
    """Return the lines of outputs without times, generated IDs and replica numbers, sorted: their order may be chance.

    Amounts of money stay: every request of the lessons has the same seed, so they are the same each time.
    """
    return sorted(line for output in outputs for line in re.split(r"\\n|<tr>|<div", without_noise_in(output)))


def without_noise_in(output: Any) -> str:
    """Return an output as JSON without noise; if it says that its numbers differ from run to run, without numbers."""
    text = json.dumps(output, sort_keys=True, ensure_ascii=False)
    for pattern, instead in NOISE:
        text = re.sub(pattern, instead, text)
    measured = output.get("metadata", {}).get("clew", {}).get("measured")
    return re.sub(r"\d+", "<n>", text) if measured else text


def lab(say: Say) -> None:
    """Replace this process with JupyterLab on copies of the notebooks, with this environment's kernel.

    It makes no requests over the network.

    Raises:
        ClewError: the packages are not installed, or a copy cannot be read.
    """
    require_packages()
    copies.refresh(lessons(), COPIES, say)
    overrides = Path(sys.prefix) / "share/jupyter/lab/settings/overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(json.dumps({"@jupyterlab/apputils-extension:notification": NO_NEWS}))
    options = [f"--notebook-dir={COPIES}", "--LabApp.extension_manager=readonly"]
    if os.geteuid() == 0:
        options.append("--allow-root")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options])  # noqa: S606 - Ctrl-C is for JupyterLab
