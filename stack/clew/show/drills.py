"""What a drill says in a terminal: the claim and what should happen before it runs, then what did happen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from clew.drills.model import BROKEN, HELD, UNKNOWN, Drill, Result
from clew.show.terminal import next_step, out, sentence, shown

COLOURS = {HELD: "#009E73", BROKEN: "#D55E00", UNKNOWN: "#999999"}
MARKS = {True: "✓", False: "✗", None: "?"}
NAMES = {"durable": "the durable settings", "stock": "the defaults of Celery, Redis and nginx"}


def list_of(drills: Iterable[Drill]) -> None:
    """Print each drill's name and claim."""
    for drill in drills:
        sentence(f"{drill.name:<18} {drill.claim}", indent=19)


def announce(drill: Drill, on: str, seed: int, short: bool) -> None:
    """Print what is claimed and what should happen, before anything does."""
    form = ", short form" if short else ""
    out.print(shown(f"Drill {drill.name} with {NAMES[on]}, seed {seed}{form}", "bold"))
    sentence(f"Claim: {drill.claim}")
    sentence("What should happen, here with smaller numbers:" if short else "What should happen:")
    for line in drill.should:
        sentence(f"  - {line}", indent=4)
    if on == "stock":
        sentence(f"What is expected instead: {drill.stock}")


def result(result: Result) -> None:
    """Print what should be and what was, then the verdict."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "should be", "was"):
        table.add_column(heading, overflow="fold")
    for check in result.checks:
        style = {True: COLOURS[HELD], False: COLOURS[BROKEN], None: COLOURS[UNKNOWN]}[check.ok]
        table.add_row(shown(MARKS[check.ok], style), shown(check.what), shown(check.should), shown(check.found, style))
    out.print(table)
    counts = result.counts
    sentence(
        f"{counts['requests']} requests: {counts['acknowledged']} acknowledged, {counts['refused']} refused, "
        f"{counts['undetermined']} undetermined; {counts['runs']} runs, {counts['extra_runs']} of them extra."
    )
    for reason in result.unknown:
        sentence(f"Not certain: {reason}")
    out.print(shown(f"{result.verdict.upper()}: {ending(result)}", f"bold {COLOURS[result.verdict]}"))


def ending(result: Result) -> str:
    """Return the verdict as a sentence."""
    if result.verdict == UNKNOWN:
        return "this run does not show whether the claim is true."
    failed = [check.what for check in result.checks if check.ok is False]
    if result.on == "stock":
        return f"with the defaults the claim fails: {'; '.join(failed)}." if failed else "this time it did not fail."
    return f"the claim is false: {'; '.join(failed)}." if failed else "the claim is true in this run."


def repeated(results: Sequence[Result], wanted: int) -> None:
    """Print how many runs in a row held, and the seed of the one that did not."""
    held = sum(result.verdict == HELD for result in results)
    if held == wanted:
        out.print(f"{held} of {wanted} runs held, seeds {results[0].seed} to {results[-1].seed}.")
        return
    last = results[-1]
    out.print(f"{held} runs held; the run with seed {last.seed} is {last.verdict}.")
    next_step(f"make drill NAME={last.name} ON={last.on} SEED={last.seed}")


def table(results: Sequence[Result], not_run: Mapping[str, str]) -> None:
    """Print one line for each drill."""
    rows = Table(box=None, pad_edge=False)
    for heading in ("drill", "verdict", "seconds", "what failed, or is not known"):
        rows.add_column(heading, overflow="fold")
    for one in results:
        failed = [f"{check.what}: {check.found}" for check in one.checks if check.ok is False]
        rows.add_row(
            one.name,
            shown(one.verdict, COLOURS[one.verdict]),
            f"{one.seconds:.0f}",
            shown("; ".join([*failed, *one.unknown])),
        )
    for name, reason in not_run.items():
        rows.add_row(name, shown("not run", COLOURS[UNKNOWN]), "", shown(reason))
    out.print(rows)
