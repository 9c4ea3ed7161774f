"""The nine services."""

from __future__ import annotations

from clew.core.errors import ClewError
from taskqueue import contract

NGINX = "nginx-loadbalancer"
API_SERVERS = ("fastapi-server-1", "fastapi-server-2", "fastapi-server-3")
REDIS = "redis-broker"
WORKERS = contract.WORKERS
FLOWER = "flower"
SERVICES = (NGINX, *API_SERVERS, REDIS, *WORKERS, FLOWER)


def is_worker(service: str) -> bool:
    """Tell whether a service is a worker; in a Swarm there can be more than three."""
    return service.rpartition("-")[0] == "celery-worker"


def checked_service(name: str) -> str:
    """Return the service with this name, or the only one whose name starts with it.

    Raises:
        ClewError: no service, or more than one, matches.
    """
    found = [name] if name in SERVICES else [service for service in SERVICES if service.startswith(name)]
    if len(found) == 1:
        return found[0]
    raise ClewError(f"There is no service {name!r}; the nine are {', '.join(SERVICES)}.", "make stage-3 status")
