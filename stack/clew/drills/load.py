"""Load: requests sent through nginx at a rate, all at once, or as fast as they are accepted.

Half of the clients are plain: one attempt, no key. The others retry with one Idempotency-Key a request. Every attempt
has a deadline, and so has every request. At a rate, requests are sent when the seeded plan says so, whether or not the
earlier ones were answered, and their latency counts from that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport

from clew.core.errors import ClewError
from clew.drills.model import Attempt, Request
from taskqueue.contract import HEADER

ATTEMPT_SECONDS = 10.0
PATIENCE_SECONDS = 60.0  # how long a retrying client tries
CONNECTIONS_PER_CLIENT = 20  # httpx looks through all connections of a client for every request
MOST_CONNECTIONS = 1000
LOOK_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 10.0
REFUSED_SECONDS = 0.5  # a plain client's wait before its next request
KEY_HEADER = "Idempotency-Key"
CLIENTS = ("plain", "retrying")

Body = Mapping[str, Any]


def rehearsal(seconds: float = 0.0, priority: str = "medium", **data: Any) -> Body:
    """Return the body of a task that takes `seconds` and fails as `data` says (see RehearsalData)."""
    return {"task_type": "rehearsal", "data": {"seconds": seconds, **data}, "priority": priority}


def arrivals(rng: random.Random, per_second: float, seconds: float) -> list[float]:
    """Return when requests arrive, in seconds from the start: at random, independent of each other (Poisson)."""
    times = itertools.accumulate(rng.expovariate(per_second) for _ in itertools.count())
    return list(itertools.takewhile(lambda at: at < seconds, times))


class Plan:
    """Makes the requests of one run; the same seed gives the same numbers, keys and IDs."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.numbers = itertools.count(1)
        self.mark = f"{rng.getrandbits(32):08x}"

    def request(
        self, body: Body, planned_at: float, client: str = "", key: str | None = None, **fields: Any
    ) -> Request:
        """Return a request with further `fields`; without `client`, plain and retrying ones take turns."""
        number = next(self.numbers)
        client = client or CLIENTS[number % 2]
        if client == "retrying" and key is None:
            key = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        return Request(number, f"drill-{self.mark}-{number}", client, body, planned_at, key, **fields)


class Sender:
    """Sends requests from a thread of its own, with one event loop, until all are answered or `stop` is called."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self.url = url
        self.rng = random.Random(rng.getrandbits(64))
        self.requests: list[Request] = []
        self.accepted = 0
        self._last = float("inf")  # nothing that is planned for later is sent
        self._open = 0  # requests on their way, which may yet be accepted
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def begin(self, requests: Sequence[Request]) -> None:
        """Send every request at its `planned_at`."""
        self.requests.extend(requests)
        self._start(self._all_at_their_times(list(requests)))

    def begin_until(self, accepted: int, make: Callable[[], Request], senders: int) -> None:
        """Send requests, `senders` at a time, until so many of them have been accepted."""
        self._start(self._until(self.accepted + accepted, make, senders))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self.finish()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def finish(self, seconds: float = 600) -> None:
        """Wait until everything is answered.

        Raises:
            ClewError: it is not within `seconds`, or sending failed in a way that is a fault of this program.
        """
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                self.stop()
                raise ClewError(
                    f"The load was not answered within {seconds:.0f} s.", "make drill, when less is running"
                )
            self._thread = None
        if self.error is not None:
            raise self.error

    def end_early(self) -> None:
        """Send no more of the plan; what was not sent is not part of the load."""
        now = time.time()
        self._last = now
        self.requests = [one for one in self.requests if one.attempts or one.planned_at <= now]

    def stop(self) -> None:
        """Give up what is not answered yet."""
        thread, loop, work = self._thread, self._loop, self._work
        if thread is not None and thread.is_alive() and loop is not None and work is not None:
            loop.call_soon_threadsafe(work.cancel)
            thread.join(ATTEMPT_SECONDS)
        self._thread = None

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run(self._main(work))
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by `finish`, in the thread that waits
            self.error = error

    async def _main(self, work: Coroutine[Any, Any, None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.current_task()
        await work

    async def _all_at_their_times(self, requests: list[Request]) -> None:
        async with pool(self.url, len(requests)) as clients:
            sent = (self._at_its_time(one, clients[n % len(clients)]) for n, one in enumerate(requests))
            await asyncio.gather(*sent)

    async def _until(self, accepted: int, make: Callable[[], Request], senders: int) -> None:
        async with pool(self.url, senders) as clients:
            turns = (self._again_until(accepted, make, clients[n % len(clients)]) for n in range(senders))
            await asyncio.gather(*turns)

    async def _again_until(self, accepted: int, make: Callable[[], Request], client: httpx.AsyncClient) -> None:
        while self.accepted + self._open < accepted:
            request = make()
            self.requests.append(request)
            self._open += 1
            await self._send(request, client)
            self._open -= 1
            if request.outcome == "refused":
                await asyncio.sleep(REFUSED_SECONDS * self.rng.uniform(0.5, 1.0))

    async def _at_its_time(self, request: Request, client: httpx.AsyncClient) -> None:
        while (left := request.planned_at - time.time()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            if request.planned_at > self._last:
                return
        await self._send(request, client)

    async def _send(self, request: Request, client: httpx.AsyncClient) -> None:
        """Send a request; a retrying client does so again until it is accepted, or refused for good."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        for tries in itertools.count():
            answer, retry_after = await attempt(client, request)
            request.attempts.append(answer)
            self.accepted += request.outcome == "acknowledged"
            settled = answer.status is not None and answer.status not in (429, 500, 502, 503, 504)
            if settled or request.client != "retrying" or time.monotonic() > give_up:
                return
            wait = min(retry_after if retry_after is not None else 0.1 * 2**tries, LONGEST_WAIT_SECONDS)
            await asyncio.sleep(wait * self.rng.uniform(1.0, 1.5))


@contextlib.asynccontextmanager
async def pool(url: str, at_once: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Have enough clients for so many requests at the same time."""
    async with contextlib.AsyncExitStack() as opened:
        count = -(-min(max(at_once, 1), MOST_CONNECTIONS) // CONNECTIONS_PER_CLIENT)
        yield [await opened.enter_async_context(new_client(url)) for _ in range(count)]


def new_client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS_PER_CLIENT, keepalive_expiry=30)
    # The load shares its processors with what it is a load for: aiohttp needs less than half of httpx's own transport.
    transport = AiohttpTransport(limits=limits)
    return httpx.AsyncClient(base_url=url, timeout=ATTEMPT_SECONDS, transport=transport, trust_env=False)


async def attempt(client: httpx.AsyncClient, request: Request) -> tuple[Attempt, float | None]:
    """POST a request once; return what came back, and the seconds to wait that a refusal asked for."""
    headers = {HEADER: request.correlation_id}
    if request.key:
        headers[KEY_HEADER] = f'"{request.key}"'
    sent_at, began = time.time(), time.perf_counter()
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):  # httpx's own limit is for each read, not for the whole
            answer = await client.post("/api/v1/tasks", json=request.body, headers=headers)
    except (httpx.HTTPError, TimeoutError) as error:
        ms = (time.perf_counter() - began) * 1000
        return Attempt(sent_at, ms, None, problem=f"{type(error).__name__}: {error}"), None
    ms = (time.perf_counter() - began) * 1000
    body = _object(answer)
    task_id = body.get("task_id")
    wait = answer.headers.get("Retry-After", "").partition(",")[0]
    return Attempt(
        sent_at,
        ms,
        answer.status_code,
        str(task_id) if task_id else None,
        body.get("from_cache") is True,
        "" if answer.is_success else str(body.get("code") or body.get("detail") or answer.text[:200]),
    ), float(wait) if wait.isdigit() else None


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
