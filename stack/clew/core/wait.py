"""Waiting with a deadline and a stated reason."""

from __future__ import annotations

import time
from collections.abc import Callable

from clew.core.errors import ClewError


def wait_until(condition: Callable[[], bool], seconds: float, what: str, next_step: str, every: float = 0.1) -> float:
    """Ask until `condition` holds; return how many seconds that took.

    Raises:
        ClewError: it did not hold within `seconds`; the message names `what` was waited for.
    """
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise ClewError(f"Waited {seconds:.0f} s for {what}, in vain.", next_step)
        time.sleep(every)
    return time.monotonic() - started
