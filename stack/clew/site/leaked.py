"""The leak lab on a page: the recorded trials as a table and as pictures."""

from __future__ import annotations

from clew.lab import recordings
from clew.lab.leaks.judge import ANOTHERS, MISSING, OWN
from clew.lab.leaks.trial import Trial
from clew.show import leaks


def trials() -> list[Trial]:
    return [Trial.from_json(entry) for entry in recordings.load("leaks")["runs"]]


def table() -> str:
    """Return how many lines have their own request's ID, none, or another's, for each way of carrying it."""
    rows = ["| the ID is carried | lines of tasks | own ID | no ID | another's ID |", "|---|---|---|---|---|"]
    for trial in trials():
        counts = [trial.lines.get(verdict, 0) for verdict in (OWN, MISSING, ANOTHERS)]
        cells = " | ".join(f"**{count}**" if count and n else str(count) for n, count in enumerate(counts))
        rows.append(f"| {trial.title} | {sum(counts)} | {cells} |")
    return "\n".join(rows)


def example() -> str:
    """Return one line with another's ID in words."""
    run = next(trial.example for trial in trials() if trial.example is not None)
    return (
        f"In this run, the {run.task.lower()} for `{run.owner}` is logged as `{run.logged}`: it ran on `{run.worker}` "
        f"in process {run.process}, where the {run.left_by} for `{run.logged}` had run."
    )


def pictures() -> str:
    return leaks.pictures(trials())
