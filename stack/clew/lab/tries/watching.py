"""Checking a fix at each save of the file."""

from __future__ import annotations

import threading
from collections.abc import Callable

from clew.evidence.trace import Hop
from clew.lab.tries.grade import Verdict, check
from clew.lab.tries.workspace import Workspace

LOOK_EVERY = 0.1


def watch(
    work: Workspace,
    on_save: Callable[[], None],
    on_first: Callable[[list[Hop]], None],
    on_verdict: Callable[[Verdict], None],
) -> None:
    """Check the fix now and after each save, until it is solved.

    `on_save` is called when a save was noticed, `on_first` with the hops of the first look, `on_verdict` with what came
    of it.

    Raises:
        ClewError: the working copy is not up any more, or another command uses it.
    """
    pause = threading.Event()  # nobody sets it: it is a wait that Ctrl-C ends at once
    seen = None
    while True:
        now = _state(work)
        if now is not None and now != seen:
            seen = now
            on_save()
            verdict = check(work, on_first)
            on_verdict(verdict)
            if verdict.solved:
                return
        pause.wait(LOOK_EVERY)


def _state(work: Workspace) -> tuple[int, int] | None:
    """Return what changes with each save; None while an editor replaces the file."""
    try:
        found = work.file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
