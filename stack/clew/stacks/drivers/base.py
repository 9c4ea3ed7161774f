"""What a driver must do. Whether a service is ready is asked over its ports, the same way for every driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from clew.stacks.stack import Stack

Say = Callable[[str], None]


class Driver(Protocol):
    """Runs the nine services of a stack.

    Every method has a deadline of its own and raises ClewError when it passes or when the services cannot be
    brought into the state asked for.
    """

    name: str

    def __init__(self, stack: Stack) -> None: ...

    def prepare(self, say: Say) -> None:
        """Get everything that running takes: programs, images."""

    def preflight(self) -> None:
        """Refuse, before anything is started, what must not or cannot be started; change nothing."""

    def up(self) -> None:
        """Start what does not run yet; return before the services are ready."""

    def down(self) -> None:
        """End everything, also what a crash left behind, and remove the data."""

    def discard(self, services: Sequence[str]) -> None:
        """End services that a failed `up` had started, as far as they did not run before."""

    def status(self) -> dict[str, str]:
        """Return each service's state: running, paused, stopped or absent."""

    def started(self) -> dict[str, float]:
        """Return when each service that runs was started, in seconds since the epoch, whole or with a fraction."""

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        """Return each service's lines, those before `since` (seconds since the epoch) left out where that is cheap."""

    def kill(self, service: str) -> None:
        """End a service at once (SIGKILL); it stays down until `start`."""

    def stop(self, service: str) -> None:
        """End a service gracefully (SIGTERM); it stays down until `start`."""

    def start(self, service: str) -> None:
        """Start a service that was killed or stopped."""

    def restart(self, services: Sequence[str]) -> None:
        """End and start services, all at the same time, so that they read their files anew."""

    def reload_nginx(self) -> None:
        """Make nginx read its configuration anew without dropping a connection."""

    def pause(self, service: str) -> None:
        """Freeze a service where it stands."""

    def unpause(self, service: str) -> None:
        """Let a frozen service go on."""
