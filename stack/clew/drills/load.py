"""Load: requests sent through nginx at a rate, all at once, or as fast as they are accepted.

Half of the clients are plain: one attempt, no key. The others retry with one Idempotency-Key a request. Every attempt
has a deadline, and so has every request. At a rate, requests are sent when the seeded plan says so, whether or not the
earlier ones were answered, and their latency counts from that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

import aiohttp

from clew.core.errors import ClewError
from clew.drills.model import Attempt, Request
from taskqueue.contract import HEADER

ATTEMPT_SECONDS = 10.0
PATIENCE_SECONDS = 60.0  # how long a retrying client tries
MOST_CONNECTIONS = 1000
LOOK_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 10.0
REFUSED_SECONDS = 0.5  # a plain client's wait before its next request
KEY_HEADER = "Idempotency-Key"
CLIENTS = ("plain", "retrying")

Body = Mapping[str, Any]
Doors = Sequence[aiohttp.ClientSession]


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
    """Sends requests from a thread of its own, with one event loop, until all are answered or `stop` is called.

    With several `urls`, requests take turns with them, and so do the attempts of one request.
    """

    def __init__(self, urls: str | Sequence[str], rng: random.Random) -> None:
        self.urls = [urls] if isinstance(urls, str) else list(urls)
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
        self.finish()
        self._last = float("inf")
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
        # One loop for all: a sleeping coroutine for each of many thousand requests would cost more than the requests.
        async with self._doors() as sessions:
            sent = []
            for request in sorted(requests, key=lambda one: one.planned_at):
                while request.planned_at <= self._last and (left := request.planned_at - time.time()) > 0:
                    await asyncio.sleep(min(left, LOOK_SECONDS))
                if request.planned_at > self._last:
                    break
                sent.append(asyncio.create_task(self._send(request, sessions)))
            await asyncio.gather(*sent)

    async def _until(self, accepted: int, make: Callable[[], Request], senders: int) -> None:
        async with self._doors() as sessions:
            await asyncio.gather(*(self._again_until(accepted, make, sessions) for _ in range(senders)))

    @contextlib.asynccontextmanager
    async def _doors(self) -> AsyncIterator[Doors]:
        async with contextlib.AsyncExitStack() as closing:
            yield [await closing.enter_async_context(new_session(url)) for url in self.urls]

    async def _again_until(self, accepted: int, make: Callable[[], Request], sessions: Doors) -> None:
        while self.accepted + self._open < accepted:
            request = make()
            self.requests.append(request)
            self._open += 1
            await self._send(request, sessions)
            self._open -= 1
            if request.outcome == "refused":
                await asyncio.sleep(REFUSED_SECONDS * self.rng.uniform(0.5, 1.0))

    async def _send(self, request: Request, sessions: Doors) -> None:
        """Send a request; a retrying client does so again until it is accepted, or refused for good."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        for tries in itertools.count():
            answer, retry_after = await attempt(sessions[(request.number + tries) % len(sessions)], request)
            request.attempts.append(answer)
            self.accepted += request.outcome == "acknowledged"
            settled = answer.status is not None and answer.status not in (429, 500, 502, 503, 504)
            if settled or request.client != "retrying" or time.monotonic() > give_up:
                return
            wait = min(retry_after if retry_after is not None else 0.1 * 2**tries, LONGEST_WAIT_SECONDS)
            await asyncio.sleep(wait * self.rng.uniform(1.0, 1.5))


def new_session(url: str) -> aiohttp.ClientSession:
    # The load shares its processors with what it is a load for: httpx needs several times as much for a request.
    connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS)
    return aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=None))


async def attempt(session: aiohttp.ClientSession, request: Request) -> tuple[Attempt, float | None]:
    """POST a request once; return what came back, and the seconds to wait that a refusal asked for."""
    headers = {HEADER: request.correlation_id}
    if request.key:
        headers[KEY_HEADER] = f'"{request.key}"'
    sent_at, began = time.time(), time.perf_counter()
    try:
        async with (
            asyncio.timeout(ATTEMPT_SECONDS),
            session.post("/api/v1/tasks", json=request.body, headers=headers) as answer,
        ):
            text = await answer.text(errors="replace")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        ms = (time.perf_counter() - began) * 1000
        return Attempt(sent_at, ms, None, problem=f"{type(error).__name__}: {error}"), None
    ms = (time.perf_counter() - began) * 1000
    body = _object(text)
    task_id = body.get("task_id")
    wait = answer.headers.get("Retry-After", "").partition(",")[0]
    return Attempt(
        sent_at,
        ms,
        answer.status,
        str(task_id) if task_id else None,
        body.get("from_cache") is True,
        "" if answer.status < 300 else str(body.get("code") or body.get("detail") or text[:200]),
    ), float(wait) if wait.isdigit() else None


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
