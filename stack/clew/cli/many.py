"""The commands on all stages at once, on notebooks, recordings and the ladder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from clew import ladder
from clew.cli.options import as_json
from clew.cli.report import report
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.evidence import journey as journeys
from clew.evidence import trace as traces
from clew.show import terminal
from clew.show.trail import title_of
from clew.stacks import doctor as doctors


def gathered(runs: Iterator[traces.Run], total: int, what: str) -> list[traces.Run]:
    """Collect runs while showing how far it is: a bar in a terminal, a line a run elsewhere."""
    found = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=terminal.err, disable=not terminal.err.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        for run in runs:
            found.append(run)
            progress.advance(task)
            if not terminal.err.is_terminal:
                terminal.say(f"{len(found)}/{total} {title_of(run)}: {', '.join(run.verdicts)}")
    return found


def report_runs(
    kind: str, runs: list[traces.Run], name: Callable[[traces.Run], str], began: float, as_json: bool, expectation: bool
) -> None:
    path = journeys.save(kind, runs, name)

    def show(_: dict[str, Any]) -> None:
        terminal.matrix(runs, expectation)
        predicted = sum(run.as_predicted for run in runs)
        seconds = time.monotonic() - began
        terminal.out.print(
            f"\n{predicted} of {len(runs)} as predicted, in {seconds:.0f} s; saved as {shown(path)} and .json"
        )

    try:
        journeys.require_predicted(runs, kind)
        problem = None
    except ClewError as error:
        problem = error
    report(journeys.summary(runs), as_json, show, problem)


@click.command()
@as_json
def journey(as_json: bool) -> None:
    """Trace the same request on all six stages; print and save the matrix with measured latencies."""
    began = time.monotonic()
    runs = gathered(journeys.journey(terminal.say), len(ladder.STAGE_LIST), "stages")
    report_runs("journey", runs, lambda run: f"{run.stage:02}", began, as_json, expectation=False)


@click.command()
@as_json
def lattice(as_json: bool) -> None:
    """Trace the same request on all 32 mixes of fixed and broken layers; print expected and observed."""
    began = time.monotonic()
    runs = gathered(journeys.lattice(terminal.say), 2 ** len(ladder.LAYERS), "mixes")
    runs.sort(key=lambda run: run.mix)
    report_runs("lattice", runs, lambda run: run.mix, began, as_json, expectation=True)
    if not as_json:
        whole = sum(set(run.verdicts) == {"kept"} for run in runs)
        terminal.out.print(f"{whole} of {len(runs)} mixes traces end to end: one missing layer is a broken trace.")


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Tell which driver will be used and why, what is missing, and what each missing thing costs."""
    report = doctors.examine()
    terminal.data(report) if as_json else terminal.doctor(report)


@click.command()
def record() -> None:
    """Record all six stages and all 32 mixes on live stacks, for where none can be started."""
    from clew.lab import record as recordings

    for path in recordings.record(terminal.say):
        terminal.out.print(f"Written: {shown(path)}")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--replay", is_flag=True, help="Play the recordings instead of running stacks.")
@click.option("--keep", is_flag=True, help="Only execute and check; leave the files as they are.")
def notebooks(names: tuple[str, ...], replay: bool, keep: bool) -> None:
    """Execute the notebooks from top to bottom, check their outputs, and save them."""
    from clew.lab import lessons

    lessons.run(names, replay, write=not keep, say=lambda text: terminal.out.print(text, markup=False))


@click.command()
def lab() -> None:
    """Open copies of the notebooks, without outputs, in JupyterLab."""
    from clew.lab import lessons

    lessons.lab(terminal.say)


@click.command(name="ladder")
@click.option("--check", is_flag=True, help="Only check that stages 01 to 04 match what 00 and 05 generate.")
@click.option("--force", is_flag=True, envvar="CLEW_FORCE", help="Overwrite edits in stages 01 to 04.")
def rewrite_ladder(check: bool, force: bool) -> None:
    """Write stages 01 to 04 and every README from the two written ends, 00 and 05."""
    if not check:
        ladder.rewrite(force)
    differences = ladder.disagreements()
    for difference in differences:
        terminal.out.print(difference, markup=False)
    if any("does not belong" in difference for difference in differences):
        raise ClewError("A stage folder contains files that do not belong to it.", "remove what does not belong there")
    if differences:
        raise ClewError("Stages 01 to 04 differ from what is generated from 00 and 05.", "make ladder")
    terminal.out.print("Stages 01 to 04 match what is generated from 00 and 05.")


COMMANDS = (journey, lattice, doctor, record, notebooks, lab, rewrite_ladder)
