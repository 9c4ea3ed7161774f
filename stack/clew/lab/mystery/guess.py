"""The four steps: is something wrong, where, what, and does the fix work?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from clew import ladder
from clew.core.errors import ClewError
from clew.lab.edited import run_edited
from clew.lab.mystery import case as cases
from clew.lab.mystery.case import STEPS, TRY_COSTS, Case
from clew.lab.mystery.faults import CAUSES
from clew.lab.mystery.probe import Wrong, probe
from clew.stacks import lifecycle
from clew.stacks.drivers import running_driver

HOW = {
    "detect": "make guess WRONG=yes, or make guess WRONG=no",
    "localise": 'make guess LAYER=routes, or for several make guess LAYER="routes worker"',
    "cause": 'make guess CAUSE=cut, or for several make guess CAUSE="cut retry"',
    "fix": "make guess FIX=1, once you have edited the file",
}


def named(text: str, known: Sequence[str], what: str, step: str) -> set[str]:
    """Return the words of a guess.

    Raises:
        ClewError: one of them is not known, or there is none.
    """
    words = set(text.replace(",", " ").split())
    unknown = sorted(words - set(known))
    if unknown or not words:
        reason = f"There is no {what} {unknown[0]!r}" if unknown else f"No {what} is named"
        raise ClewError(f"{reason}; there are {', '.join(known)}.", HOW[step])
    return words


def detect(case: Case, wrong: bool) -> tuple[Case, str]:
    """Grade whether something is wrong; where nothing is, all is over."""
    something = bool(case.faults)
    after = _graded(case, "detect", wrong == something)
    if not something:
        words = "Right: nothing is wrong." if not wrong else "Nothing is wrong here: every hop hands on every ID."
        return after.end(), words
    return after, "Right: something is wrong." if wrong else "Look again: something is wrong. Go on and find where."


def localise(case: Case, text: str) -> tuple[Case, str]:
    """Grade in which layers something is wrong.

    Raises:
        ClewError: one is not a layer.
    """
    guessed = named(text, ladder.HOPS, "layer", "localise")
    return _sets(case, "localise", guessed, {fault.hop for fault in case.faults}, "layer")


def cause(case: Case, text: str) -> tuple[Case, str]:
    """Grade what is wrong.

    Raises:
        ClewError: one is not a cause.
    """
    guessed = named(text, list(CAUSES), "cause", "cause")
    return _sets(case, "cause", guessed, {fault.cause for fault in case.faults}, "cause")


def _sets(case: Case, step: str, guessed: set[str], right: set[str], what: str) -> tuple[Case, str]:
    after = _graded(case, step, guessed == right)
    if guessed == right:
        return after, f"Right: {', '.join(sorted(right))}."
    hits = len(guessed & right)
    missed = f"; {len(right) - hits} more to find" if len(right) > hits else ""
    return after, f"Not quite: {hits} of your {len(guessed)} right{missed}. The right {what}s are told at the end."


def fix(case: Case, on_wait: Callable[[str], None]) -> tuple[Case, list[Wrong], str]:
    """Run the files as they are now, and probe what they do. A fix that does not work may be tried again.

    Raises:
        ClewError: another step comes next, nothing was changed, a file is missing, the mystery's stack is not up, or
            does not come back with these files. None of these costs points.
    """
    require_step(case, "fix")
    if cases.untouched(case):
        changed = f"Nothing was changed: the files in {case.stack.shown_folder} are as they were when it began."
        raise ClewError(f"{changed} This cost nothing.", HOW["fix"])
    running = running_driver(case.stack)
    if running is None:
        raise ClewError("The mystery's stack is not up.", "make mystery")
    with lifecycle.reserved(case.stack):
        try:
            run_edited(case.stack, running)
            on_wait("Sending requests of every kind.")
            found = probe(case.stack, running)
        except ClewError as error:
            raise ClewError(error.message, HOW["fix"]) from None
    if found:
        after = replace(case, fixes=case.fixes + 1).save()
        told = f"Not fixed yet, {TRY_COSTS} points less. Requests without their own ID at every hop: {len(found)}."
        return after, found, told
    after = _graded(case, "fix", True).end()
    return after, [], "Fixed: every hop hands on every request's own ID."


def show(case: Case) -> Case:
    """Give up: what is left to guess counts as wrong. A mystery that is over stays as it is."""
    if case.ended is not None:
        return case
    steps: dict[str, bool | None] = {step: bool(case.steps[step]) for step in STEPS}
    return replace(case, steps=steps).end()


def require_step(case: Case, step: str) -> None:
    """Make sure that a step comes next.

    Raises:
        ClewError: another one does, or all is over.
    """
    if case.next_step is None:
        raise ClewError("This mystery is over.", f"make mystery SEED={case.seed + 1} LEVEL={case.level}")
    if case.next_step != step:
        known = "was guessed already" if case.steps[step] is not None else "comes later"
        raise ClewError(f"The step {step!r} {known}; now it is {case.next_step!r}.", HOW[case.next_step])


def _graded(case: Case, step: str, right: bool) -> Case:
    require_step(case, step)
    return replace(case, steps={**case.steps, step: right}).save()
