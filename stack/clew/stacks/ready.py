"""Which services do their work: asked once, or waited for."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import httpx
from redis.backoff import NoBackoff
from redis.retry import Retry

import redis
from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.stacks.drivers import Driver, Say, driver_of
from clew.stacks.services import FLOWER, NGINX, REDIS, SERVICES, WORKERS
from clew.stacks.stack import Stack
from taskqueue.contract import HEADER, LIVE_PATH, WORKER_KEY

READY_SECONDS = 90
SAY_SO_AFTER = 10  # of a start, which takes half of that
LOOK_AFTER, GIVE_UP_AFTER = 3, 8  # a service that crashes is started again and again
NGINX_OVERLAP_SECONDS = 0.25
HTTP_PATHS = {NGINX: "/nginx-health", FLOWER: "/healthcheck"}


class Operator(redis.CredentialProvider):
    """The user that the clew command is in Redis."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def get_credentials(self) -> tuple[str, str]:
        try:
            return "operator", driver_of(self.stack).password("operator")
        except ClewError as error:
            raise redis.ConnectionError(error.message) from None


def redis_client(stack: Stack, text: bool = True) -> redis.Redis:
    """Return a client for the stack's Redis that gives up after two seconds and does not try again.

    Without `text` it answers with bytes: a queue may hold messages that are not UTF-8.
    """
    return redis.Redis(
        port=stack.ports[REDIS],
        credential_provider=Operator(stack),
        decode_responses=text,
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
    )


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
    return not not_ready(stack, [service], after)


def not_ready(stack: Stack, services: Iterable[str] = SERVICES, after: float = 0) -> list[str]:
    """Return the services that do not do their work now, all asked at the same time, so within about two seconds."""
    services = list(services)
    with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
        boots = pool.submit(worker_boots, stack) if set(services) & set(WORKERS) else None
        answers = {service: pool.submit(_answers, stack, service) for service in services if service not in WORKERS}
    consuming = boots.result() if boots else {}
    return [
        service
        for service in services
        if not (consuming.get(service, -1) > after if service in WORKERS else answers[service].result())
    ]


def _answers(stack: Stack, service: str) -> bool:
    try:
        if service == REDIS:
            with redis_client(stack) as client:
                return bool(client.ping())
        path = HTTP_PATHS.get(service, LIVE_PATH)
        # Not through a proxy that the environment may name: this is loopback.
        return httpx.get(f"http://127.0.0.1:{stack.ports[service]}{path}", timeout=2, trust_env=False).is_success
    except (httpx.HTTPError, redis.RedisError):
        return False


def wait_ready(
    stack: Stack,
    services: Iterable[str] = SERVICES,
    after: float = 0,
    seconds: float | None = None,
    say: Say | None = None,
    driver: Driver | None = None,
    patience: float = GIVE_UP_AFTER,
) -> float:
    """Wait until the services do their work; return how many seconds that took. `say` is told of a long wait.

    A service that ends again and again is given up after `patience` seconds.

    Raises:
        ClewError: some did not in time, or keep ending as the `driver` sees it; the message names them.
    """
    seconds = READY_SECONDS if seconds is None else seconds
    waiting = list(services)
    began = time.monotonic()
    told = say is None
    ended: dict[str, float] = {}  # since when a service is stopped, though it should start

    def ready() -> bool:
        nonlocal told
        waiting[:] = not_ready(stack, waiting, after)
        if driver is not None and waiting and time.monotonic() - began > min(LOOK_AFTER, patience):
            states, now = driver.status(), time.monotonic()
            stopped = {service: ended.get(service, now) for service in waiting if states[service] == "stopped"}
            ended.clear()
            ended.update(stopped)
            if failed := [service for service, since in ended.items() if now - since > patience]:
                reason = f"Not running, because they end when they are started: {', '.join(failed)}."
                raise ClewError(reason, stack.command(f"logs SERVICE={failed[0]}"))
        if not told and waiting and time.monotonic() - began > SAY_SO_AFTER:
            told = True
            assert say is not None
            say(f"Waiting for {', '.join(waiting)}, up to {seconds:.0f} s.")
        return not waiting

    try:
        return wait_until(ready, seconds, "every service to be ready", "", every=0.05)
    except ClewError:
        if any(time.monotonic() - since > patience for since in ended.values()):
            raise
        raise ClewError(
            f"After {seconds:.0f} s these are not ready: {', '.join(waiting)}.",
            stack.command(f"logs SERVICE={waiting[0]}"),
        ) from None


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
