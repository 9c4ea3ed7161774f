"""The mystery as commands: `make mystery SEED=7`, `make guess`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clew import ladder
from clew.cli.options import as_json, flag
from clew.cli.report import Reported
from clew.core.errors import ClewError
from clew.core.paths import STATE, shown
from clew.show import mystery as words
from clew.show import terminal
from clew.show.commands import with_ports

if TYPE_CHECKING:
    from clew.lab.mystery.case import Case


@click.command()
@click.option("--seed", type=click.IntRange(0), envvar="CLEW_SEED", help="Which mystery; the same on every machine.")
@click.option("--level", type=int, envvar="CLEW_LEVEL", help="1 to 3; without it, 2.")
@click.option("--faults", type=int, envvar="CLEW_FAULTS", help="How many things are wrong; without it, who knows.")
@click.option("--name", envvar="CLEW_NAME", help="Who plays, for the score; without it, your login name.")
@flag("hint", "Show the next hint, which costs 10 points.")
@flag("show", "Give up: show what is wrong.")
@flag("reset", "Go on with the files as they were when it began.")
@as_json
def mystery(
    seed: int | None, level: int | None, faults: int | None, name: str | None,
    hint: bool, show: bool, reset: bool, as_json: bool,
) -> None:  # fmt: skip
    """Bring up a stack with something wrong, or with nothing; one that is not over goes on, and so it does without a
    seed."""
    from clew.lab.mystery import case as cases
    from clew.lab.mystery import guess as guesses
    from clew.stacks import lifecycle

    if hint or show:
        case = cases.current()
        if seed not in (None, case.seed):
            raise ClewError(f"The mystery that was begun is {case.seed}, not {seed}.", "make guess")
        if show:
            tell_end(guesses.show(case), as_json)
        else:
            tell_hint(case, as_json)
        return
    if seed is None and (level is not None or faults is not None):
        raise ClewError("LEVEL and FAULTS are for a new mystery, which needs a SEED.", "make mystery SEED=7 LEVEL=3")
    level = 2 if level is None else level
    begun = cases.current() if seed is None else cases.unfinished(seed, level, faults, name)
    case = begun or cases.Case(int(seed or 0), level, faults, name or cases.login_name())
    if begun and not reset:
        lifecycle.up(case.stack, terminal.say)
    else:
        cases.bring_up(case, terminal.say)
    case = cases.start_clock(case)
    score = cases.score_path(case)
    if as_json:
        terminal.data({
            "seed": case.seed, "level": case.level, "url": case.stack.url, "folder": case.stack.shown_folder,
            "resumed": begun is not None, "replay": score.exists(),
        })  # fmt: skip
        return
    files = [layer.file for layer in ladder.LAYERS]
    notes = []
    if case.ended is not None:
        notes = ["This mystery is over: make guess tells how it ended."]
    elif begun:
        notes = [f"You go on where you were: {'' if reset else 'your edits, '}your hints and the clock stay."]
    if case.ended is None and score.exists():
        notes += [f"You have a score for it already, in {shown(score)}: this is a replay, which does not count."]
    words.begin(case.seed, case.level, case.stack.url, case.stack.shown_folder, files, notes)


def tell_hint(case: Case, as_json: bool) -> None:
    """Show the next hint, and note that it was."""
    from clew.lab.mystery import case as cases

    found = cases.next_hint(case)
    terminal.data({"hint": found}) if as_json else terminal.sentence(with_ports(found))


@click.command()
@click.option("--wrong", type=click.Choice(["yes", "no"]), envvar="CLEW_WRONG", help="Is something wrong?")
@click.option("--layer", envvar="CLEW_LAYER", help="In which layers?")
@click.option("--cause", envvar="CLEW_CAUSE", help="What is wrong?")
@flag("fix", "Check what you have edited.")
@as_json
def guess(wrong: str | None, layer: str | None, cause: str | None, fix: bool, as_json: bool) -> None:
    """Guess one of the four steps; without any, say which one is next and what there is to choose from."""
    from clew.lab.mystery import case as cases
    from clew.lab.mystery import guess as guesses
    from clew.lab.mystery.faults import CAUSES

    case = cases.current()
    given = [name for name, value in (("WRONG", wrong), ("LAYER", layer), ("CAUSE", cause), ("FIX", fix)) if value]
    if len(given) > 1:
        raise ClewError(f"One step at a time; given were {' and '.join(given)}.", "make guess")
    said = ""
    lines: list[str] = []
    if wrong:
        case, said = guesses.detect(case, wrong == "yes")
    elif layer:
        case, said = guesses.localise(case, layer)
    elif cause:
        case, said = guesses.cause(case, cause)
    elif fix:
        case, found, said = guesses.fix(case, terminal.say)
        lines = sorted({str(one) for one in found}, key=len)[:5]
    if as_json:
        terminal.data({"said": said, "steps": case.steps, "next": case.next_step, "over": case.ended is not None})
        return
    if said:
        terminal.sentence(said)
        for line in lines:
            terminal.sentence(f"  {line}")
    if case.ended is not None:
        tell_end(case, as_json)
        return
    words.steps(case.steps, case.next_step, guesses.HOW, CAUSES, ladder.HOPS)


def tell_end(case: Case, as_json: bool) -> None:
    """Print what was wrong and the score, and where it was saved."""
    from clew.lab.mystery import case as cases

    path = cases.score_path(case)
    found = case.to_json()
    if as_json:
        terminal.data({**found, "was": [fault.key for fault in case.faults], "saved": shown(path)})
        return
    words.end([(fault.hop, fault.seen, shown(case.stack.folder / fault.layer.file)) for fault in case.faults], found)
    replayed = "This was a replay, which does not count. Your score is that of the first time, saved as"
    terminal.sentence(f"{replayed if case.replay else 'Saved as'} {shown(path)}")
    terminal.next_step(f"make mystery SEED={case.seed + 1} LEVEL={case.level}, or make down")


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--dir", "folder", envvar="CLEW_DIR", type=click.Path(path_type=Path), help="A folder of score files.")
@as_json
def classroom(files: tuple[Path, ...], folder: Path | None, as_json: bool) -> None:
    """Put the scores of several players side by side: in the terminal, and as a page to show."""
    from clew.lab.mystery import case as cases
    from clew.lab.mystery import classroom as rooms
    from clew.show import classroom as table

    scores, problems = rooms.read([*files, *([folder] if folder else [])] or [cases.SCORES])
    if as_json:
        terminal.data([vars(score) for score in scores])
    elif scores:
        table.table(scores)
        path = STATE / "classroom.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(table.page(scores).encode(errors="xmlcharrefreplace"))
        terminal.out.print(f"Saved as {shown(path)}", markup=False)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        left_out = f"{len(problems)} of {len(scores) + len(problems)} files are not scores, and were left out:{listed}"
        again = f"make classroom DIR={shlex.quote(str(folder))}" if folder else "make classroom"
        raise Reported(left_out, f"{again}, once these files are repaired or removed")


COMMANDS = (mystery, guess, classroom)
