"""Running files that a learner has edited: they may do anything, so a start that fails is told soon."""

from __future__ import annotations

from clew.core.errors import ClewError
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver
from clew.stacks.refresh import refresh
from clew.stacks.stack import Stack

PATIENCE_SECONDS = 1.5  # for a service that ends when it is started
START_SECONDS = 30  # for one that neither ends nor gets ready


def run_edited(stack: Stack, driver: Driver) -> None:
    """Make a running stack run the files on disk; wait until it does.

    Raises:
        ClewError: a service did not come back; the message has its last log lines.
    """
    try:
        refresh(stack, driver, PATIENCE_SECONDS, START_SECONDS, kill=True)
    except ClewError as error:
        raise ClewError(error.message + lifecycle.last_words(driver, error.message), error.next_step) from None
