"""supervisord, run as a script, which also ends what a service's main process leaves behind.

A container ends with its main process, and so does a service here: a worker process of nginx that outlived its master
would keep the port, and nginx could never start again. This script imports nothing of Clew, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from supervisor import events, supervisord
from supervisor.states import getProcessStateDescription


class Clew:
    """The methods that other processes can call, next to supervisord's own."""

    def __init__(self, supervisor: Any) -> None:
        self.supervisor = supervisor
        for kind in (events.ProcessStateExitedEvent, events.ProcessStateBackoffEvent, events.ProcessStateStoppedEvent):
            events.subscribe(kind, end_group)
        events.subscribe(events.ProcessStateStoppedEvent, forget_failures)

    def states(self) -> dict[str, dict[str, Any]]:
        """Return each service's `state` in supervisord's words, its main process (`pid`, 0 if it has none), when it
        was `started` in seconds since the epoch, how many starts in a row `failed`, and its `stop_seconds`.
        """
        return {
            process.config.name: {
                "state": getProcessStateDescription(process.get_state()),
                "pid": process.pid,
                "started": process.laststart,
                "failed": process.backoff,
                "stop_seconds": process.config.stopwaitsecs,
            }
            for group in self.supervisor.process_groups.values()
            for process in group.processes.values()
        }


def end_group(event: Any) -> None:
    """End the rest of a process group whose leader has just ended.

    No other group can have got this number: it is in use as long as the group has a member, and the leader was reaped
    just before.
    """
    if event.process.pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(event.process.pid, signal.SIGKILL)


def forget_failures(event: Any) -> None:
    """Count failed starts from zero again once a service was stopped on request."""
    event.process.backoff = 0


if __name__ == "__main__":
    supervisord.main()
