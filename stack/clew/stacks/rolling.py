"""Restarting every tier of a stack that is in use, one service at a time, so that no request fails.

nginx only reloads: it is the one process that listens at the front door, and a restart would close that door. Redis is
one instance, and nothing could stand in for it, so it goes on. Everything else stops gracefully and starts again, and
is ready before the next one stops. No server is taken out of nginx's list first: with the durable settings nginx asks
the next server when one refuses or closes a connection.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import httpx

from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.core.wait import wait_until
from clew.stacks import freshness, lifecycle, ready
from clew.stacks.drivers import Driver, Say
from clew.stacks.freshness import Snapshot
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, WORKERS
from clew.stacks.stack import Stack
from taskqueue.contract import HEALTH_PATH

# Workers before servers: a new server may send what an old worker does not know, an old server never does.
IN_ORDER = (*WORKERS, *API_SERVERS, FLOWER)


class Step(NamedTuple):
    """What was done with a service (restarted, reloaded, left as it is), in how many seconds."""

    service: str
    done: str
    seconds: float


def rolling_restart(stack: Stack, driver: Driver, say: Say) -> list[Step]:
    """Restart all tiers of a stack that is up; return what was done, in that order.

    Every wait has a deadline: a worker has its stop_grace_period to finish its tasks, then it is killed, and its tasks
    run again elsewhere.

    Raises:
        ClewError: a service is not ready before this begins, or after its restart; or files have changed that need more
            than this. The message names it, and what was not yet restarted runs on.
    """
    with lifecycle.only_one(stack):
        snapshot = Snapshot.of(stack)
        _check(stack, driver, snapshot)
        steps = [_reload_nginx(stack, driver, say)]
        freshness.note(stack, driver.started(), snapshot, [NGINX])
        for service in IN_ORDER:
            say(f"Restarting {service}.")
            began = time.monotonic()
            driver.stop(service)
            started = time.time()
            driver.start(service)
            freshness.note(stack, driver.started(), snapshot, [service])
            ready.wait_ready(stack, [service], after=started, say=say, driver=driver)
            if service in API_SERVERS:
                _wait_healthy(stack, service)
            steps.append(Step(service, "restarted", time.monotonic() - began))
        say(f"{REDIS} goes on: it is one instance.")
        return [*steps, Step(REDIS, "left as it is", 0.0)]


def _reload_nginx(stack: Stack, driver: Driver, say: Say) -> Step:
    say(f"Reloading {NGINX}: it alone listens at the front door, so it is not restarted.")
    began = time.monotonic()
    driver.reload_nginx()
    if stack.mix[0] in "01":
        ready.wait_nginx(stack, keeps_id=stack.mix[0] == "1")
    else:  # of a configuration that a learner wrote nobody knows what it answers
        ready.wait_ready(stack, [NGINX])
    return Step(NGINX, "reloaded", time.monotonic() - began)


def _wait_healthy(stack: Stack, server: str) -> None:
    """Wait until a server says that a task could be done now: it answers, has reached Redis, and sees a worker.

    Raises:
        ClewError: it did not in time.
    """
    url = f"http://127.0.0.1:{stack.ports[server]}{HEALTH_PATH}"

    def healthy() -> bool:
        try:
            return httpx.get(url, timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    wait_until(healthy, ready.READY_SECONDS, f"{server} to be healthy", stack.command("status"), every=0.05)


def _check(stack: Stack, driver: Driver, snapshot: Snapshot) -> None:
    """Make sure that this can be done without a failed request.

    Raises:
        ClewError: it cannot.
    """
    if idle := ready.not_ready(stack):
        reason = f"Not ready, so that another restart could fail requests: {', '.join(idle)}."
        raise ClewError(reason, stack.command("up"))
    changed = freshness.changed_since_start(stack, driver, snapshot)
    described = {shown(path) for path in freshness.compose_files(stack)}
    for service, paths in changed.items():
        if described & set(paths) or service == REDIS or (service == NGINX and stack.mix[0] not in "01"):
            reason = f"{', '.join(paths)} changed after {service} started, and this cannot be restarted while in use."
            raise ClewError(reason, stack.command("up"))
