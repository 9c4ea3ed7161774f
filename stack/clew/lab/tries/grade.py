"""The check of a fix: is it solved, and if not, what is wrong? Judged by what the running stack does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.evidence.trace import Hop
from clew.lab.edited import run_edited
from clew.lab.tries.diagnoses import Finding, diagnose
from clew.lab.tries.seen import Seen, look, open_message
from clew.lab.tries.workspace import Saved, Workspace, driver, later_layers_fixed, reserved
from clew.stacks.drivers import Driver

UNREADABLE, SAVED_MEANWHILE = "unreadable", "saved_meanwhile"
CHECKS = 3  # of a file that is saved during each of them


@dataclass(frozen=True)
class Verdict:
    """The result of a check. `key` names what is wrong, empty when nothing is; `hops` are those of one of its requests,
    `beads` the five verdicts. `saved` tells which save of the file was judged."""

    number: int
    solved: bool
    key: str
    words: str
    hops: list[Hop] = field(default_factory=list)
    saved: Saved | None = None

    @property
    def beads(self) -> tuple[str, ...]:
        return tuple(hop.verdict for hop in self.hops)


def check(work: Workspace, on_first: Callable[[list[Hop]], None] = lambda hops: None) -> Verdict:
    """Make the stack run the files as they are, send requests, and judge what it does.

    First the working copy as it is; when the layer seems to do its work, again with the later layers fixed, because
    only then it can be seen whether the next layer gets what the log line says. `on_first` is told the hops of the
    first look. A file that was saved meanwhile is checked again: the verdict is about the file as it is now.

    Raises:
        ClewError: the working copy is not up, or does not answer; the file is gone.
    """
    for _ in range(CHECKS):
        judged = work.saved
        try:
            verdict = not_readable(work) or _judged(work, on_first)
        except (ClewError, FileNotFoundError):
            if work.saved == judged:
                raise
            continue  # what went wrong may be about a file that is not there any more
        if work.saved == judged:
            return replace(verdict, saved=judged)
    words = f"{shown(work.file)} was saved during each of {CHECKS} checks, so none of them is about it as it is now."
    return Verdict(work.number, False, SAVED_MEANWHILE, words, saved=judged)


def _judged(work: Workspace, on_first: Callable[[list[Hop]], None]) -> Verdict:
    with reserved():
        running = driver(work)
        try:
            run_edited(work.stack, running)
        except ClewError as error:
            words = f"The stack does not start with your file. {error.message}"
            return Verdict(work.number, False, "does_not_start", words)
        seen, found = first_look(work, running)
        on_first(seen.hops)
        if found is None and work.number < len(ladder.LAYERS):
            found = _with_later_layers(work, running)
    if found is not None:
        return Verdict(work.number, False, found.key, found.words, seen.hops)
    return Verdict(work.number, True, "", solved_words(work), seen.hops)


def first_look(work: Workspace, running: Driver) -> tuple[Seen, Finding | None]:
    """Return what the working copy does as it is, and what is wrong with that.

    Raises:
        ClewError: it does not answer.
    """
    seen = look(work.stack, running, work.number)
    found = diagnose(seen)
    if found and found.key == "nothing_handed_on" and seen.hop == "queue-service":
        open_message(work.stack, seen)
        found = diagnose(seen)
    return seen, found


def second_look(work: Workspace, running: Driver) -> Finding | None:
    """Return what is wrong while the later layers are fixed, as they must be now; the files on disk are run first.

    Raises:
        ClewError: it does not start, or does not answer.
    """
    run_edited(work.stack, running)
    return diagnose(look(work.stack, running, work.number, whole=True))


def _with_later_layers(work: Workspace, running: Driver) -> Finding | None:
    try:
        with later_layers_fixed(work):
            return second_look(work, running)
    finally:
        # It may fail on a file that was saved meanwhile; the next check starts what is not running then.
        with contextlib.suppress(ClewError):
            run_edited(work.stack, running)


def not_readable(work: Workspace) -> Verdict | None:
    """Return the verdict on a file that Python cannot read at all; sooner than a stack that does not start tells it."""
    if work.file.suffix != ".py":
        return None
    try:
        compile(work.file.read_bytes(), shown(work.file), "exec")
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        return Verdict(work.number, False, UNREADABLE, f"Python cannot read {shown(work.file)}{where}: {reason}.")
    return None


def solved_words(work: Workspace) -> str:
    """Return what a layer does once it is fixed."""
    *others, last = ladder.HOPS[work.number - 1 :]
    rest = f"{', '.join(others[1:])} and {last}" if others[1:] else last
    further = f" With {rest} fixed as well, the ID reaches the worker." if others else " The ID reaches the worker."
    return (
        f"Solved: {work.layer.hop} hands on each request's own ID, of two requests at once too, and of one that came "
        f"without.{further}"
    )


def solution(work: Workspace) -> list[str]:
    """Return our fix as the lines of a unified diff."""
    return ladder.source_diff(work.number)
