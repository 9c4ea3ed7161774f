"""What a driver must do. Whether a service is ready is checked over its ports, in the same way for every driver.

A service of a stack that is up is in one of three states, and every verb has one meaning in each:

============  ====================  ==================  ====================
verb          running               paused              stopped
============  ====================  ==================  ====================
``kill``      stopped, at once      stopped, at once    nothing to do
``stop``      stopped, gracefully   stopped             nothing to do
``start``     nothing to do         running, continued  running, new process
``restart``   running, new process  running, new        running, new process
``pause``     paused                nothing to do       ClewError
``unpause``   nothing to do         running, continued  ClewError
============  ====================  ==================  ====================

A service that was killed or stopped stays down until ``start``, ``restart`` or ``up``; one that ends for another reason
is started again, and counts as stopped while it fails to start over and over. A service ends with its main process:
what that leaves behind is ended too. When the stack is down, every verb but ``up`` and ``down`` raises ClewError.
``tests/contract`` runs one suite over all drivers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from clew.stacks.stack import Stack

Say = Callable[[str], None]


class Driver(Protocol):
    """Runs the nine services of a stack, as stack/compose.yaml describes them.

    Every method has a deadline and raises ClewError when it passes, or when the services cannot be brought into the
    state asked for.
    """

    name: str

    def __init__(self, stack: Stack) -> None: ...

    def prepare(self, say: Say) -> None:
        """Get what the services need to run: programs, images."""

    def preflight(self) -> None:
        """Refuse, before anything is started, what must not or cannot be started; change nothing."""

    def up(self) -> None:
        """Bring every service into the state running; return before the services are ready."""

    def down(self) -> None:
        """End everything within 10 seconds, also what a crash left behind, and remove the data and the logs."""

    def discard(self, services: Sequence[str]) -> None:
        """End services that a failed `up` had started, as far as they did not run before."""

    def status(self) -> dict[str, str]:
        """Return each service's state: running, paused, stopped, or absent when the stack is down."""

    def started(self) -> dict[str, float]:
        """Return when each service that runs was started, in seconds since the epoch, whole or with a fraction."""

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        """Return each service's lines, the oldest first; a service that is absent has none.

        Lines from before `since` (seconds since the epoch) may be left out.
        """

    def password(self, role: str, what: str = "redis") -> str:
        """Return a role's password in Redis (stack/redis/users.acl), or the one of its `web` pages."""

    def kill(self, service: str) -> None:
        """End a service at once (SIGKILL)."""

    def stop(self, service: str) -> None:
        """End a service gracefully (its stop_signal, and SIGKILL after its stop_grace_period)."""

    def start(self, service: str) -> None:
        """Start a service that was killed or stopped; let a paused one continue."""

    def restart(self, services: Sequence[str]) -> None:
        """End services within 10 seconds and start them, all at the same time, so that they read their files again."""

    def reload_nginx(self) -> None:
        """Make nginx read its configuration again without dropping a connection."""

    def pause(self, service: str) -> None:
        """Freeze all processes of a service where they are."""

    def unpause(self, service: str) -> None:
        """Let a frozen service continue."""
