"""What the leak lab has seen: a table of lines, and a picture of processes. Both take any objects with those fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from rich.table import Table

from clew.core.marks import COLOURS
from clew.show import plot
from clew.show.terminal import next_step, out, sentence, shown

VERDICTS = ("own", "missing", "another's")
KINDS = {"own": "run", "missing": "waits", "another's": "cut"}
OF_VERDICT = {"own": COLOURS["kept"], "missing": COLOURS["replaced"], "another's": COLOURS["missing"]}


def table(trials: Sequence[Any]) -> None:
    """Print how many lines have their own request's ID, none, or another's, for each way of carrying it."""
    found = Table(box=None, pad_edge=False)
    for heading in ("how the ID is carried", "lines", *VERDICTS):
        found.add_column(heading, justify="left" if heading.startswith("how") else "right", overflow="fold")
    for trial in trials:
        counts = [shown(str(trial.lines.get(verdict, 0)), OF_VERDICT[verdict]) for verdict in VERDICTS]
        found.add_row(shown(trial.title), shown(str(sum(trial.lines.values()))), *counts)
    out.print(found)
    for trial in trials:
        for words in trial.astray:
            sentence(f"With {trial.title}: {words}.")
    example = next((trial.example for trial in trials if trial.example is not None), None)
    if example is not None:
        sentence(
            f"One of them: the {example.task.lower()} for {example.owner} is logged as {example.logged}. It ran on "
            f"{example.worker} in process {example.process}, where the {example.left_by} for {example.logged} had run."
        )


def saved(path: str) -> None:
    out.print(f"Saved as {path}", markup=False)
    next_step("make stage-5 up trace")


def page(trials: Sequence[Any]) -> Markup:
    """Return the pictures of all trials as an HTML page that fetches nothing."""
    head = Markup('<!doctype html><meta charset="utf-8"><title>The leak lab</title>')
    return head + pictures(trials)


def pictures(trials: Sequence[Any]) -> Markup:
    """Return the pictures of all trials as HTML, with their styles."""
    drawn = Markup("").join(drawing(trial) for trial in trials)
    return Markup('<style>{}</style><div class="clew">{}</div>').format(Markup(plot.CSS), drawn)  # noqa: S704


def drawing(trial: Any) -> Markup:
    """Return a picture: a row for each worker process, a bar for each run of a task, marked where the ID is wrong."""
    groups = []
    for worker in sorted({run.worker for run in trial.ran}):
        of_worker = [run for run in trial.ran if run.worker == worker]
        rows = [
            [plot.Segment(run.begin, run.end, KINDS[run.verdict]) for run in of_worker if run.process == process]
            for process in sorted({run.process for run in of_worker})
        ]
        groups.append((worker.removeprefix("celery-"), rows))
    seconds = max(run.end for run in trial.ran)
    counts = ", ".join(f"{trial.lines.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    told = f"{len(trial.ran)} runs in {trial.processes} processes. Of their log lines: {counts}."
    return plot.figure(seconds, [plot.rows(f"The ID is carried: {trial.title}", groups, row=12)], told)
