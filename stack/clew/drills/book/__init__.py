"""All drills, by name, in the order in which `make drills` runs them."""

from __future__ import annotations

from clew.core.errors import ClewError
from clew.drills.book import broker, crowds, mixed, requests, servers, workers
from clew.drills.model import Drill

DRILLS: dict[str, Drill] = {
    drill.name: drill
    for drill in (
        workers.WORKER_KILL,
        workers.TINY_LOSS,
        broker.REDIS_KILL,
        broker.REDIS_PAUSE,
        broker.REDIS_DOWN,
        broker.POWER_CUT,
        servers.API_KILL,
        servers.API_HANG,
        servers.ROLLING,
        crowds.HERD,
        crowds.BREAKER,
        crowds.PRIORITY,
        requests.IDEMPOTENCY,
        requests.POISON,
        requests.HOSTILE_MESSAGES,
        requests.RETRIES,
        mixed.MIXED,
    )
}


def drill_named(name: str) -> Drill:
    """Return a drill by its name.

    Raises:
        ClewError: there is none; the message names them all.
    """
    if name not in DRILLS:
        raise ClewError(f"There is no drill {name!r}; there are {', '.join(DRILLS)}.", "make drill NAME=worker-kill")
    return DRILLS[name]
