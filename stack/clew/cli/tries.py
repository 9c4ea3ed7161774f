"""Fix it yourself: `make try-3`, `make check-try`, `make hint-try`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from clew import ladder
from clew.cli.options import as_json, flag
from clew.cli.report import report
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.evidence.trace import Hop
from clew.show import terminal
from clew.show import tries as words

if TYPE_CHECKING:
    from clew.lab.tries.grade import Verdict
    from clew.lab.tries.workspace import Workspace


@click.command(name="try")
@click.argument("number", metavar="[FIX]", required=False)
@flag("reset", "Start over with the file as it was found.")
@flag("show", "Show our fix, and do nothing else.")
@flag("watch", "Check at each save, until it is solved.")
@as_json
def try_fix(number: str | None, reset: bool, show: bool, watch: bool, as_json: bool) -> None:
    """Make a working copy of the stage before a fix, bring it up, and say what to edit."""
    from clew.lab.tries import grade, workspace

    if show:
        diff = grade.solution(workspace.chosen(number))
        terminal.data({"diff": diff}) if as_json else words.solution(diff)
        return
    work = workspace.prepare(workspace.current().number if number is None else number, reset)
    driver = workspace.up(work, terminal.say)
    if as_json:
        terminal.data({
            "layer": work.layer.hop, "file": shown(work.file), "url": work.stack.url, "driver": driver.name
        })  # fmt: skip
        return
    words.task(work.layer.hop, work.layer.symptom, shown(work.file), work.stack.url, work.command)
    if watch:
        watch_file()


def watch_file() -> None:
    """Check the fix at each save and print the result, until it is solved or Ctrl-C is pressed."""
    from clew.lab.tries import watching, workspace

    work = workspace.current()
    began = time.monotonic()

    def saved() -> None:
        nonlocal began
        began = time.monotonic()
        terminal.out.print(f"\n{time.strftime('%H:%M:%S')} checking {shown(work.file)}")

    def first(found: list[Hop]) -> None:
        words.hops(found)
        terminal.say(f"after {time.monotonic() - began:.1f} s")

    def judged(verdict: Verdict) -> None:
        if verdict.solved:
            tell_solved(work, verdict)
        else:
            terminal.sentence(f"○ {verdict.words}")
            terminal.say("Waiting for the next save; Ctrl-C ends this, and the stack stays up.")

    watching.watch(work, saved, first, judged)


def tell_solved(work: Workspace, verdict: Verdict) -> None:
    """Print that a fix works, with our fix and what comes next."""
    from clew.lab.tries import grade

    words.solved(verdict.words, grade.solution(work))
    last = work.number == ladder.FIXED.number
    terminal.next_step("make down" if last else f"make try-{work.number + 1}, or make down")


@click.command(name="check-try")
@as_json
def check_try(as_json: bool) -> None:
    """Check the fix by what the stack does: fresh IDs, other data, two requests at once, one without an ID."""
    from clew.lab.tries import grade, workspace

    work = workspace.current()
    verdict = grade.check(work, (lambda found: None) if as_json else words.hops)
    found = {
        "layer": work.layer.hop, "solved": verdict.solved, "key": verdict.key, "words": verdict.words,
        "verdicts": list(verdict.beads),
    }  # fmt: skip
    problem = None
    if not verdict.solved:
        problem = ClewError(verdict.words, f"edit {shown(work.file)}, then make check-try. Stuck? make hint-try")
    report(found, as_json, lambda _: None if problem else tell_solved(work, verdict), problem)


@click.command(name="hint-try")
@as_json
def hint_try(as_json: bool) -> None:
    """Show the next of three hints: where to look, what is missing, the line."""
    from clew.lab.tries import workspace

    work = workspace.current()
    hint = work.next_hint()
    terminal.data({"layer": work.layer.hop, "hint": hint}) if as_json else terminal.sentence(hint)


COMMANDS = (try_fix, check_try, hint_try)
