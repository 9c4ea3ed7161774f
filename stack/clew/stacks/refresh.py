"""Restarting the services that do not run the files on disk, and no others."""

from __future__ import annotations

import time

from clew.core.paths import shown
from clew.stacks import freshness, ready
from clew.stacks.drivers import Driver, Say
from clew.stacks.freshness import Snapshot
from clew.stacks.services import NGINX, WORKERS
from clew.stacks.stack import Stack


def refresh(
    stack: Stack,
    driver: Driver,
    patience: float = ready.GIVE_UP_AFTER,
    seconds: float = ready.READY_SECONDS,
    kill: bool = False,
) -> None:
    """Make a running stack run the files on disk, which the caller has just written; wait until it does.

    A service that is not running is started: its last start may have failed, on files that are right by now.
    A service that ends again and again is given up after `patience` seconds, one that does not get ready after
    `seconds`. With `kill`, workers are not asked to end, which takes seconds: for a stack without tasks under way.

    Raises:
        ClewError: a service did not come back.
    """
    snapshot = Snapshot.of(stack)
    stopped = [service for service, state in driver.status().items() if state in ("stopped", "paused")]
    changed = {**freshness.changed_since_start(stack, driver, snapshot), **{service: [] for service in stopped}}
    for worker in WORKERS if kill else ():
        if worker in changed:
            driver.kill(worker)
    restart_changed(stack, driver, changed, lambda text: None, patience, seconds)
    freshness.note(stack, driver.started(), snapshot, changed)


def restart_changed(
    stack: Stack,
    driver: Driver,
    changed: dict[str, list[str]],
    say: Say,
    patience: float = ready.GIVE_UP_AFTER,
    seconds: float = ready.READY_SECONDS,
) -> None:
    """Restart the services that run old files; of nginx reload the configuration where it is one of the two written.

    Raises:
        ClewError: a service did not come back.
    """
    for names, paths in freshness.grouped(changed):
        say(f"Restarting {names}: {paths} changed after {'they' if ',' in names else 'it'} started.")
    conf = shown(stack.folder / "nginx/nginx.conf")
    reloads = changed.get(NGINX) == [conf] and stack.mix[0] in "01"
    services = [service for service in changed if not (service == NGINX and reloads)]
    began = time.time()
    if services:
        driver.restart(services)
        ready.wait_ready(stack, services, began, seconds, say, driver, patience)
    if reloads:
        driver.reload_nginx()
        ready.wait_nginx(stack, keeps_id=stack.mix[0] == "1")
