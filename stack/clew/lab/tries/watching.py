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
    """Check the fix now and after each save, also one that came during a check, until it is solved.

    `on_save` is called when a save was noticed, `on_first` with the hops of the first look, `on_verdict` with what came
    of it.

    Raises:
        ClewError: the working copy is not up any more, or another command uses it; the file is gone.
    """
    pause = threading.Event()  # nobody sets it: it is a wait that Ctrl-C ends at once
    judged = None
    while True:
        if work.saved != judged:
            on_save()
            verdict = check(work, on_first)
            judged = verdict.saved
            on_verdict(verdict)
            if verdict.solved:
                return
        pause.wait(LOOK_EVERY)
