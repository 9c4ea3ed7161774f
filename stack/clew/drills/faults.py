"""Faults: what is done to services, through the driver contract, and a seeded plan of when.

A fault counts as landed when its effect was seen: the service was running before and is stopped, or paused, after.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from typing import NamedTuple

import psutil

from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.drills.model import Fault
from clew.stacks.drivers import Driver
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.drivers.local import processes as of_stack
from clew.stacks.services import API_SERVERS, NGINX, REDIS, WORKERS

KILL, STOP, PAUSE, CHILD, RELOAD = "kill", "stop", "pause", "kill a pool process of", "reload"
LAND_SECONDS = 5
AFTER = {KILL: "stopped", STOP: "stopped", PAUSE: "paused"}


class Planned(NamedTuple):
    """A fault that will be injected `at` seconds after the load began and healed `lasts` seconds later."""

    at: float
    kind: str
    service: str
    lasts: float = 0.0


def spread(
    rng: random.Random, wanted: Sequence[tuple[str, Sequence[str], float]], seconds: float, margin: float = 2.0
) -> list[Planned]:
    """Return a plan with one fault for each of `wanted` (kind, the services to choose from, how long it lasts).

    Their order is random. They are spread over `seconds`, at a random place in a slot of their own, so that one is
    healed before the next begins if its slot is long enough for it; the first and the last `margin` seconds stay free.
    """
    order = list(wanted)
    rng.shuffle(order)
    slot = (seconds - 2 * margin) / len(order)
    plan = []
    for number, (kind, services, lasts) in enumerate(order):
        room = max(0.0, slot - lasts)
        plan.append(Planned(margin + number * slot + rng.uniform(0, room), kind, rng.choice(list(services)), lasts))
    return plan


def regularly(rng: random.Random, kind: str, service: str, times: int, every: float, lasts: float) -> list[Planned]:
    """Return a plan with the same fault once in each period of `every` seconds, at a random moment of its first."""
    return [Planned(number * every + rng.random(), kind, service, lasts) for number in range(times)]


def mixed(rng: random.Random, seconds: float, count: int, with_child: bool = True) -> list[Planned]:
    """Return the plan of the drill `mixed`: `count` of eleven faults of six kinds, the one of a pool process only where
    it can be killed.
    """
    wanted: list[tuple[str, Sequence[str], float]] = [
        *[(KILL, WORKERS, 1.0)] * 3,
        *[(KILL, API_SERVERS, 1.0)] * 3,
        *[(KILL, (REDIS,), 2.0)] * 2,
        (PAUSE, (REDIS,), 2.0),
        (RELOAD, (NGINX,), 0.0),
    ]
    if with_child:
        wanted.append((CHILD, WORKERS, 0.0))
    return spread(rng, rng.sample(wanted, min(count, len(wanted))), seconds)


def inject(driver: Driver, kind: str, service: str) -> Fault:
    """Do one thing to a service and see whether it had its effect.

    Raises:
        ClewError: the driver could not do it.
    """
    ran = driver.status()[service] == "running"
    began = time.time()
    if kind == KILL:
        driver.kill(service)
    elif kind == STOP:
        driver.stop(service)
    elif kind == PAUSE:
        driver.pause(service)
    elif kind == RELOAD:
        driver.reload_nginx()
    elif kind == CHILD:
        return Fault(kind, service, began, time.time(), kill_child(driver, service))
    fault = Fault(kind, service, began)
    if kind in AFTER:
        fault.landed = ran and driver.status()[service] == AFTER[kind]
    else:
        fault.landed, fault.ended = ran, time.time()
    return fault


def heal(driver: Driver, fault: Fault) -> None:
    """Undo a fault: start what was killed, let what was paused continue."""
    if fault.kind == PAUSE:
        driver.unpause(fault.service)
    else:
        driver.start(fault.service)
    fault.ended = time.time()


def kill_child(driver: Driver, service: str) -> bool:
    """Kill one process of a worker's pool; tell whether it ended. The local driver alone can reach it.

    Raises:
        ClewError: another driver runs the stack.
    """
    if not isinstance(driver, LocalDriver):
        raise ClewError(
            f"A pool process of {service} can only be killed with the local driver.", "make drill DRIVER=local"
        )
    own = [process for process in driver.processes() if of_stack.service_of(process) == service]
    pids = {process.pid for process in own}
    children = [process for process in own if process.ppid() in pids]
    if not children:
        return False
    child = children[0]
    child.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(child), LAND_SECONDS, f"process {child.pid} to end", "make drills", every=0.02)
    return True


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
