"""What a notebook can ask of a stage, and the little that a live stage and a replayed one have in common."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence.client import Answer
from clew.evidence.trace import Run
from clew.evidence.two import Two
from clew.stacks.drivers import Say

Data = dict[str, Any]


class CannotStart(ClewError):
    """A stack is down and cannot be started: the one case in which a notebook may replay a recording instead."""


class Backend(Protocol):
    """Answers a notebook's questions about one stage: `LiveStage` by running it, `ReplayedStage` from a recording.

    `correlation_id` is the X-Request-ID to send; `data` is the task's data, None for the sample portfolio. All requests
    have the same seed. Each method but `down` raises ClewError when it cannot answer.
    """

    @property
    def note(self) -> str | None:
        """Where the answers come from; None when the stage runs."""

    def up(self) -> str:
        """Make the nine services ready, and say so. A stack that is up already is left as it is.

        Raises:
            CannotStart: the stack is down and cannot be started.
            ClewError: the stack is up, but a service is not ready.
        """

    def down(self) -> None:
        """Stop the services if `up` started them."""

    def submit(self, correlation_id: str, data: Data | None) -> Answer:
        """Send one task request; return the answer without waiting for the task."""

    def crowd(self) -> list[Answer]:
        """Send the requests of a crowd, see `clew.lab.crowd`, and wait for their tasks."""

    def new_key(self) -> str:
        """Return an Idempotency-Key that was not used before."""

    def click(self, correlation_id: str, key: str, data: Data | None) -> Answer:
        """Send one task request with an Idempotency-Key; return the answer, whatever it is."""

    def lines(self, since: Answer | None) -> list[Line]:
        """Return the log lines of all services, from a request on, once its task has finished and is logged."""

    def trace(self, correlation_id: str, data: Data | None) -> Run:
        """Send one task request, wait for its result, and find its hops in the logs."""

    def two(self) -> Two:
        """Send two requests of two people at once, and find their log lines."""

    def once(self, correlation_id: str) -> Run:
        """Trace one request on a stage that may be down, and leave the stage up or down as it was.

        Raises:
            CannotStart: the stack is down and cannot be started.
        """

    def message(self, correlation_id: str) -> Data:
        """Send one task request; return its message as it waited in Redis, as `evidence.message` does."""

    def nobody_consuming(self) -> AbstractContextManager[None]:
        """Stop the workers from taking messages while the context lasts."""

    def ask(self, method: str, task_id: str) -> Data:
        """GET or DELETE a task; return `method`, `task_id`, the answer's `status_code` and its `body`."""


def replay_wanted() -> bool | None:
    """Tell what CLEW_REPLAY asks for: always replay (1), never (0), or, unset, only what cannot be started (None).

    Raises:
        ClewError: it is something else.
    """
    wanted = os.environ.get("CLEW_REPLAY") or None
    if wanted not in (None, "0", "1"):
        raise ClewError(f"CLEW_REPLAY is {wanted!r}; it must be 1, 0 or unset.", "unset CLEW_REPLAY")
    return None if wanted is None else wanted == "1"


def cannot_start(what: str, error: CannotStart) -> str:
    """Return what a notebook says of a stack that cannot be started, when a recording is replayed instead."""
    return (
        f"{what} cannot be started: {error.message}\n"
        f"To run it: {error.next_step}, then run this cell again.\nUntil then a recording is replayed."
    )


@contextlib.contextmanager
def progress() -> Iterator[Say]:
    """Yield a function that reports progress in a cell; at the end the cell is cleared for its result."""
    try:
        yield lambda text: print(text, flush=True)
    finally:
        ipython = sys.modules.get("IPython")
        if ipython is not None and ipython.get_ipython() is not None:
            ipython.display.clear_output(wait=True)
