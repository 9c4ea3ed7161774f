"""Waiting with a deadline and a stated reason."""

from __future__ import annotations

import time
from collections.abc import Callable

from clew.core.errors import ClewError


class Deadline:
    """A moment that several waits can share, so that together they take no longer than one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Return the seconds that are left; 0 once it has passed."""
        return max(0.0, self._end - time.monotonic())


def wait_until(
    condition: Callable[[], bool], seconds: float | Deadline, what: str, next_step: str, every: float = 0.1
) -> float:
    """Ask every `every` seconds until the condition is true; return how many seconds that took.

    Raises:
        ClewError: it was not true in time; the message names `what` was waited for.
    """
    deadline = seconds if isinstance(seconds, Deadline) else Deadline(seconds)
    started = time.monotonic()
    while not condition():
        if not deadline.left:
            raise ClewError(f"Timed out after {deadline.seconds:.0f} s waiting for {what}.", next_step)
        time.sleep(min(every, deadline.left))
    return time.monotonic() - started
