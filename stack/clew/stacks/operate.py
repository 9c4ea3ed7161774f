"""Bringing a stack up and down, and knowing what is ready."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator

import httpx

import redis
from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.stacks.drivers import Driver, Say, choose, running_driver
from clew.stacks.drivers.choice import wanted_driver
from clew.stacks.services import FLOWER, NGINX, REDIS, SERVICES, WORKERS
from clew.stacks.stack import Stack
from taskqueue.contract import HEADER, WORKER_KEY

READY_SECONDS = 90
NGINX_OVERLAP_SECONDS = 0.25
HTTP_PATHS = {NGINX: "/nginx-health", FLOWER: "/healthcheck"}


def redis_client(stack: Stack) -> redis.Redis:
    """Return a client for the stack's Redis that gives up after two seconds."""
    port = stack.ports[REDIS]
    return redis.Redis(port=port, decode_responses=True, socket_timeout=2, socket_connect_timeout=1)


def worker_boots(stack: Stack) -> dict[str, float]:
    """Return when each living worker started to consume, seconds since the epoch; empty when Redis does not answer."""
    try:
        with redis_client(stack) as client:
            values = client.mget([f"{WORKER_KEY}{worker}" for worker in WORKERS])
    except redis.RedisError:
        return {}
    return {worker: float(value) for worker, value in zip(WORKERS, values, strict=True) if value is not None}


def is_ready(stack: Stack, service: str, after: float = 0) -> bool:
    """Tell whether a service does its work now; a worker must also have started later than `after`."""
    if service in WORKERS:
        return worker_boots(stack).get(service, -1) > after
    try:
        if service == REDIS:
            with redis_client(stack) as client:
                return bool(client.ping())
        path = HTTP_PATHS.get(service, "/health")
        # Not through a proxy that the environment may name: this is loopback.
        return httpx.get(f"http://127.0.0.1:{stack.ports[service]}{path}", timeout=2, trust_env=False).is_success
    except (httpx.HTTPError, redis.RedisError):
        return False


def wait_ready(
    stack: Stack, services: Iterable[str] = SERVICES, after: float = 0, seconds: float = READY_SECONDS
) -> float:
    """Wait until the services do their work; return how many seconds that took.

    Raises:
        ClewError: some did not in time; the message names them.
    """
    waiting = list(services)

    def ready() -> bool:
        waiting[:] = [service for service in waiting if not is_ready(stack, service, after)]
        return not waiting

    try:
        return wait_until(ready, seconds, "every service to be ready", "", every=0.05)
    except ClewError:
        raise ClewError(
            f"After {seconds:.0f} s these are not ready: {', '.join(waiting)}.",
            stack.command(f"logs SERVICE={waiting[0]}"),
        ) from None


@contextlib.contextmanager
def only_one(stack: Stack, seconds: float = 120) -> Iterator[None]:
    """Let one command at a time start or end the stack."""
    stack.state.mkdir(parents=True, exist_ok=True)
    with (stack.state / "lock").open("w") as lock:

        def taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(taken, seconds, f"another command that starts or ends {stack.title}", stack.command("status"))
        yield


def up(stack: Stack, say: Say) -> tuple[Driver, float]:
    """Bring all nine services up and wait until they are ready; return the driver and the seconds it took.

    What already runs is left as it is. When it fails or is interrupted, what this call started is taken down again.

    Raises:
        ClewError: a port is taken, a program or image cannot be had, a service did not become ready.
    """
    with only_one(stack):
        before = running_driver(stack)
        wanted = wanted_driver()
        if before is not None and wanted not in (None, before.name):
            raise ClewError(f"{stack.title} is already up with the {before.name} driver.", stack.command("down"))
        if before is not None and (at := noted_port(stack)) not in (None, stack.port):
            raise ClewError(f"{stack.title} is already up on port {at}.", stack.command("down"))
        driver = before or choose(stack, say)
        started = time.monotonic()
        try:
            if before is not None and set(before.status().values()) == {"running"}:
                say(f"{stack.title} is up already ({driver.name} driver).")
            else:
                say(f"Starting {stack.title if before is None else 'what is not up'} ({driver.name} driver).")
            remember_port(stack)
            driver.up()
            try:
                wait_ready(stack)
            except ClewError as error:
                raise ClewError(error.message + last_words(driver, error.message), stack.command("up")) from None
        except BaseException as error:
            if before is None:
                if isinstance(error, KeyboardInterrupt):
                    say(f"Interrupted; taking {stack.title} down again.")
                (stack.state / "port").unlink(missing_ok=True)
                driver.down()
            raise
        return driver, time.monotonic() - started


def last_words(driver: Driver, message: str) -> str:
    """Return the last log lines of each service that a message names, so that they outlive the services."""
    try:
        logs = driver.logs()
    except ClewError:
        return ""
    named = [service for service in SERVICES if service in message and logs.get(service)]
    return "".join(f"\n{service}: {line[:300]}" for service in named for line in logs[service][-3:])


def down(stack: Stack) -> str | None:
    """End all of a stack, also what a crash left behind; return the name of the driver it was up with, if it was."""
    with only_one(stack):
        driver = running_driver(stack)
        if driver is not None:
            driver.down()
        else:
            from clew.stacks.drivers.local import LocalDriver

            LocalDriver(stack).down()
        (stack.state / "port").unlink(missing_ok=True)
        return driver.name if driver else None


def noted_port(stack: Stack) -> int | None:
    """Return where `up` put the front door, None when the stack is not up."""
    note = stack.state / "port"
    return int(note.read_text()) if note.exists() else None


def remember_port(stack: Stack) -> None:
    """Note the front door's port for the commands that come after `up`."""
    temporary = stack.state / f"port.{os.getpid()}"
    temporary.write_text(str(stack.port))
    temporary.replace(stack.state / "port")


def wait_nginx(stack: Stack, keeps_id: bool, seconds: float = 10) -> None:
    """Wait until nginx, after a reload, answers with a client's ID, or with one of its own.

    For a tenth of a second after a reload nginx's old and new processes both take connections, so one new answer is not
    enough: there must be none but new ones for NGINX_OVERLAP_SECONDS.

    Raises:
        ClewError: it did not in time.
    """
    probe = "clew-probe"
    since = time.monotonic()

    def switched() -> bool:
        nonlocal since
        try:
            url = f"{stack.url}{HTTP_PATHS[NGINX]}"
            answer = httpx.get(url, headers={HEADER: probe}, timeout=2, trust_env=False)
            as_wanted = (answer.headers.get(HEADER) == probe) is keeps_id
        except httpx.HTTPError:
            as_wanted = False
        if not as_wanted:
            since = time.monotonic()
        return time.monotonic() - since > NGINX_OVERLAP_SECONDS

    wait_until(switched, seconds, "nginx to run its new configuration", stack.command("status"), every=0.02)
