"""An alert, from the first lost ID to the receiver and back: stage 2 under load, then the fixes of stage 5."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.evidence import client
from clew.monitor import recorded
from clew.monitor.prometheus import Alert, Monitor, watching
from clew.stacks import lifecycle
from clew.stacks.drivers import Say
from clew.stacks.refresh import refresh
from clew.stacks.stack import Stack, lattice_stack

BROKEN = ladder.stage(2)
NAME = "IDsLost"
EVERY_SECONDS = 0.05  # one request each
WAIT_SECONDS = 300


def fire(say: Say, pace: float = 1, record: bool = False) -> dict[str, Any]:
    """Have the alert fire on stage 2 and resolve after the fix; return the seconds that each step took.

    With `record`, keep them, and what each panel of the dashboard showed meanwhile, for the site.

    Raises:
        ClewError: it did not fire, did not resolve, or names another hop than the one that loses the ID.
    """
    stack = lattice_stack()
    lost_in = ladder.LAYERS[BROKEN.verdicts.index("missing")].hop
    with lifecycle.reserved(stack):
        lifecycle.down(stack)
        ladder.write_mix(BROKEN.mix, stack.folder)
        try:
            driver, _ = lifecycle.up(stack, say)
            with watching(stack, driver, say, pace) as monitor, load(stack) as sent:
                began = time.time()
                fired = arrived(monitor, "firing", began)
                say(f"After {fired.at - began:.1f} s: {fired.annotations['summary']}")
                ladder.write_mix(ladder.FIXED.mix, stack.folder)
                refresh(stack, driver)
                fixed = time.time()
                resolved = arrived(monitor, "resolved", fixed)
                say(f"Fixed; {resolved.at - fixed:.1f} s later the alert is resolved.")
                panels = recorded.panels(monitor, began, time.time()) if record else {}
        finally:
            lifecycle.down(stack)
    if fired.labels["hop"] != lost_in:
        raise ClewError(f"The alert names {fired.labels['hop']}; the ID is lost in {lost_in}.", "make alerts")
    found = {
        "alert": NAME,
        "hop": fired.labels["hop"],
        "summary": fired.annotations["summary"],
        "requests": sent[0],
        "fired_seconds": round(fired.at - began, 1),
        "resolved_seconds": round(resolved.at - fixed, 1),
        "pace": pace,
    }
    if record:
        moments = [
            ("the alert arrives", fired.at), ("the fixes are in place", fixed), ("the alert is resolved", resolved.at)
        ]  # fmt: skip
        kept = [(what, round(at - began, 1)) for what, at in moments]
        recorded.record({**found, "driver": driver.name, "moments": kept, "panels": panels})
    return found


@contextlib.contextmanager
def load(stack: Stack) -> Iterator[list[int]]:
    """Send requests in the block, one after the other; yield how many were answered, as a list of one number."""
    ended, count = threading.Event(), [0]

    def send() -> None:
        while not ended.wait(EVERY_SECONDS):
            with contextlib.suppress(ClewError):  # while a service restarts
                client.send(stack)
                count[0] += 1

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield count
    finally:
        ended.set()
        sender.join(10)


def arrived(monitor: Monitor, status: str, since: float) -> Alert:
    """Wait for the alert in a status.

    Raises:
        ClewError: it did not arrive in time.
    """
    found: list[Alert] = []

    def look() -> bool:
        found[:] = [one for one in monitor.alerts if (one.name, one.status) == (NAME, status) and one.at >= since]
        return bool(found)

    wait_until(look, WAIT_SECONDS, f"the alert {NAME}, {status}", "make alerts", every=0.1)
    return found[0]
