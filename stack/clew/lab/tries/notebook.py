"""Trying a fix from a notebook."""

from __future__ import annotations

from clew import ladder
from clew.core.errors import ClewError
from clew.lab.backend import CannotStart, progress
from clew.lab.tries import workspace
from clew.lab.tries.grade import check, solution
from clew.show.display import Attempt
from clew.stacks import lifecycle
from clew.stacks.drivers import Say, running_driver
from clew.stacks.stack import try_stack


class Tried:
    """The stack of one notebook's tries."""

    def __init__(self) -> None:
        self.started_here = False

    def attempt(self, number: int, code: str) -> Attempt:
        """Run the stage before fix `number` with `code` as the layer's file; return what the stack does.

        Raises:
            CannotStart: the stack cannot be started.
            ClewError: it does not answer, or another command uses it.
        """
        work = workspace.prepare(number)
        text = code.lstrip("\n")
        with progress() as say:
            if running_driver(work.stack) is None:
                # With a file that is known to work: what the learner's does is the check's to tell.
                workspace.write(work, ladder.source(work.layer, fixed=False).read_text())
                self._start(work, say)
            workspace.write(work, text)
            verdict = check(work)
        return Attempt(verdict.solved, verdict.words, verdict.hops, solution(work))

    def _start(self, work: workspace.Workspace, say: Say) -> None:
        try:
            workspace.up(work, say)
        except ClewError as error:
            raise CannotStart(error.message, error.next_step) from None
        self.started_here = True

    def down(self) -> None:
        """Stop the stack if it was started here."""
        if self.started_here:
            lifecycle.down(try_stack())
            self.started_here = False
