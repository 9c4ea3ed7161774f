"""Questions that engineers ask about correlation IDs with FastAPI, Celery and nginx, each answered by running it.

Each test is one question: what loses the ID, and next to it what keeps it. docs/seeing/questions.md shows them.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import json
import logging
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import uvicorn
from celery import Celery, chord
from celery.contrib.testing.worker import start_worker
from celery.signals import before_task_publish, task_postrun, task_prerun
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.testclient import TestClient

SENT = "MY-TRACE-123"
correlation_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("correlation_id", default=None)


class Middleware:
    """The smallest that works: pure ASGI, around the whole application."""

    def __init__(self, app: Any, kinds: tuple[str, ...] = ("http", "websocket")) -> None:
        self.app, self.kinds = app, kinds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in self.kinds:
            await self.app(scope, receive, send)
            return
        found = dict(scope["headers"]).get(b"x-request-id", uuid.uuid4().hex.encode())
        token = correlation_id.set(found.decode("latin-1"))

        async def send_with_id(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", found)]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            correlation_id.reset(token)


def get(app: Any, path: str = "/") -> httpx.Response:
    with TestClient(app, raise_server_exceptions=False) as client:
        return client.get(path, headers={"X-Request-ID": SENT})


# --- in one process ---------------------------------------------------------------------------------------------------


def test_how_do_i_write_the_middleware() -> None:
    app = FastAPI()

    @app.get("/")
    def read() -> str | None:
        return correlation_id.get()

    answer = get(Middleware(app))
    assert answer.json() == SENT and answer.headers["X-Request-ID"] == SENT


def test_why_is_the_id_missing_from_a_500() -> None:
    def application() -> FastAPI:
        app = FastAPI()

        @app.get("/")
        def read() -> None:
            raise RuntimeError("a bug")

        return app

    added = application()
    added.add_middleware(Middleware)  # Starlette answers unhandled errors outside of it
    lost, kept = get(added), get(Middleware(application()))
    assert (lost.status_code, kept.status_code) == (500, 500)
    assert "X-Request-ID" not in lost.headers
    assert kept.headers["X-Request-ID"] == SENT


def test_why_does_my_other_middleware_not_see_it() -> None:
    seen: list[str | None] = []

    class Other:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(correlation_id.get())
            await self.app(scope, receive, send)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    def ask(whole: Any) -> str | None:
        seen.clear()
        transport = httpx.ASGITransport(whole)
        request = httpx.Request("GET", "http://test/", headers={"X-Request-ID": SENT})
        asyncio.run(transport.handle_async_request(request))
        return seen[0]

    assert ask(Other(Middleware(app))) is None  # it runs before the ID is set
    assert ask(Middleware(Other(app))) == SENT


def test_is_the_id_there_in_background_tasks() -> None:
    seen: list[str | None] = []

    class TooEarly(Middleware):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def forgetful(message: Any) -> None:
                await send(message)
                if message["type"] == "http.response.body":
                    correlation_id.set(None)  # the answer is sent, but the request is not over

            await super().__call__(scope, receive, forgetful)

    app = FastAPI()

    @app.get("/")
    async def read(background: BackgroundTasks) -> None:
        async def work() -> None:
            seen.append(correlation_id.get())

        background.add_task(work)

    get(TooEarly(app))
    get(Middleware(app))
    assert seen == [None, SENT]


def test_is_the_id_there_in_threads() -> None:
    correlation_id_of = contextvars.copy_context()
    correlation_id_of.run(correlation_id.set, SENT)

    def work() -> dict[str, str | None]:
        with ThreadPoolExecutor(1) as pool:
            context = contextvars.copy_context()
            return {
                "submit": pool.submit(correlation_id.get).result(),
                "submit in a copy of the context": pool.submit(context.run, correlation_id.get).result(),
                "to_thread": asyncio.run(asyncio.to_thread(correlation_id.get)),
            }

    assert correlation_id_of.run(work) == {"submit": None, "submit in a copy of the context": SENT, "to_thread": SENT}


def test_what_a_plain_route_sets_does_not_come_back() -> None:
    app = FastAPI()
    user: contextvars.ContextVar[str | None] = contextvars.ContextVar("user", default=None)
    seen: list[str | None] = []

    @app.get("/plain")
    def plain() -> None:
        user.set("ann")  # in a thread, with a copy of the context

    @app.get("/async")
    async def coroutine() -> None:
        user.set("ann")

    async def whole(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        seen.append(user.get())

    get(whole, "/plain"), get(whole, "/async")
    assert [value for value in seen if value] == ["ann"]


def serve(app: Any, formatter: logging.Formatter) -> list[str]:
    """Return uvicorn's own access lines for one request."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(lambda record: setattr(record, "found", correlation_id.get()) or True)
    handler.setFormatter(formatter)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        logger = logging.getLogger("uvicorn.access")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            httpx.get(url, headers={"X-Request-ID": SENT}, trust_env=False, timeout=10)
        finally:
            server.should_exit = True
            thread.join(10)
            logger.removeHandler(handler)
    return written.getvalue().splitlines()


def test_is_the_id_in_uvicorns_access_log() -> None:
    class Before(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            token = correlation_id.set(request.headers["X-Request-ID"])
            try:
                return await call_next(request)
            finally:
                correlation_id.reset(token)  # and only then the answer is sent, and the line written

    [lost], [kept] = (serve(one(FastAPI()), logging.Formatter("%(found)s %(message)s")) for one in (Before, Middleware))
    assert (lost.split()[0], kept.split()[0]) == ("None", SENT)


def test_what_about_websockets() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json(correlation_id.get())

    def hear(whole: Any) -> str | None:
        with TestClient(whole).websocket_connect("/", headers={"X-Request-ID": SENT}) as connection:
            return connection.receive_json()

    assert hear(Middleware(app, kinds=("http",))) is None
    assert hear(Middleware(app)) == SENT


def test_may_a_clients_id_be_trusted() -> None:
    forged = 'x"}\n{"level": "ERROR", "message": "forged'
    assert re.match(r"[\w.-]+$", "abc\n")  # neither match nor $ means the whole text
    assert not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", "abc\n")
    assert not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", forged)
    as_text = f'{{"message": "started", "correlation_id": "{forged}"}}'
    as_json = json.dumps({"message": "started", "correlation_id": forged})
    assert len(as_text.splitlines()) == 2 and len(as_json.splitlines()) == 1


def test_x_request_id_or_traceparent() -> None:
    traceparent = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
    assert traceparent.fullmatch("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert not traceparent.fullmatch(f"00-{SENT}-b7ad6b7169203331-01")  # a client's ID is no trace ID: keep both
    trace_id = ["00", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01"][1]
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", trace_id)  # the other way round it fits


def test_do_sub_requests_have_the_id() -> None:
    heard: list[str | None] = []

    def other(request: httpx.Request) -> httpx.Response:
        heard.append(request.headers.get("X-Request-ID"))
        return httpx.Response(204)

    transport = httpx.MockTransport(other)

    def pass_on(request: httpx.Request) -> None:
        request.headers["X-Request-ID"] = correlation_id.get() or ""

    token = correlation_id.set(SENT)
    try:
        httpx.Client(transport=transport).get("http://other/")
        httpx.Client(transport=transport, event_hooks={"request": [pass_on]}).get("http://other/")
    finally:
        correlation_id.reset(token)
    assert heard == [None, SENT]


# --- with Celery: a worker with a broker in memory --------------------------------------------------------------------

celery = Celery("questions", broker="memory://", backend="cache+memory://")
celery.conf.update(task_default_queue="questions", result_expires=60)
seen: list[tuple[str, Any]] = []


@celery.task(name="log", bind=True)
def log(self: Any, *_: Any, correlation_id: str | None = None) -> None:
    seen.append(("kwarg", correlation_id))
    seen.append(("header", self.request.get("x_correlation_id")))
    seen.append(("property", self.request.correlation_id))
    seen.append(("variable", current.get()))


@celery.task(name="again", bind=True, max_retries=1)
def again(self: Any, *, correlation_id: str | None = None, secret: str = "") -> None:
    log_of(self, correlation_id)
    seen.append(("repr", self.request.kwargsrepr))
    if not self.request.retries:
        raise self.retry(countdown=0)


def log_of(task: Any, correlation_id: str | None) -> None:
    log.run.__func__(task, correlation_id=correlation_id)


@celery.task(name="parent", bind=True)
def parent(self: Any, correlation_id: str | None = None) -> None:
    log.delay()
    log.delay(correlation_id=correlation_id)


current: contextvars.ContextVar[str | None] = contextvars.ContextVar("current", default=None)


@pytest.fixture(scope="module")
def worker() -> Iterator[None]:
    with start_worker(celery, pool="solo", perform_ping_check=False, shutdown_timeout=20, loglevel="ERROR"):
        yield


carried: list[str] = []  # which of the three are at work: Celery keeps the receivers that it has found at first


@before_task_publish.connect
def publish(headers: dict[str, Any], **_: Any) -> None:
    if "publish" in carried and current.get():
        headers["x_correlation_id"] = current.get()


@task_prerun.connect
def start(task: Any, **_: Any) -> None:
    if "start" in carried:
        found = task.request.get("x_correlation_id")
        current.set(found or current.get() or f"made-{uuid.uuid4().hex[:8]}")


@task_postrun.connect
def end(**_: Any) -> None:
    if "end" in carried:
        current.set(None)


@pytest.fixture
def signals() -> Iterator[None]:
    """Carry the ID in a context variable, and between processes in a header of the message."""
    carried[:] = ["publish", "start", "end"]
    yield
    carried.clear()


def after(count: int, send: Callable[[], Any]) -> dict[str, list[Any]]:
    """Return what `count` runs have seen, by how the ID was to reach them."""
    seen.clear()
    send()
    deadline = time.monotonic() + 20
    while sum(kind == "variable" for kind, _ in seen) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    found: dict[str, list[Any]] = {}
    for kind, value in seen:
        found.setdefault(kind, []).append(value)
    return found


def test_why_is_the_same_id_not_in_api_and_worker(worker: None) -> None:
    option = after(1, lambda: celery.send_task("log", correlation_id=SENT))
    kwarg = after(1, lambda: celery.send_task("log", kwargs={"correlation_id": SENT}))
    assert (option["kwarg"], option["property"]) == ([None], [SENT])  # an option sets AMQP's property
    assert kwarg["kwarg"] == [SENT]


def test_is_it_lost_on_retry(worker: None) -> None:
    found = after(2, lambda: again.apply_async(kwargs={"correlation_id": SENT}, headers={"x_correlation_id": SENT}))
    assert found["kwarg"] == found["header"] == [SENT, SENT]


def test_does_it_reach_every_child_task(worker: None, signals: None) -> None:
    def send() -> None:
        current.set(SENT)
        celery.send_task("parent", kwargs={"correlation_id": SENT})
        current.set(None)

    found = after(2, send)
    assert found["kwarg"] == [None, SENT]  # only where the parent has passed it on
    assert found["variable"] == [SENT, SENT]


def test_does_it_reach_the_callback_of_a_chord(worker: None, signals: None) -> None:
    def send() -> None:
        current.set(SENT)
        chord([log.s(correlation_id=SENT), log.s(correlation_id=SENT)])(log.s())
        current.set(None)

    found = after(3, send)
    assert found["kwarg"] == [SENT, SENT, None]  # the callback is a signature of its own
    assert found["variable"] == [SENT, SENT, SENT]


def test_whose_id_has_a_task_of_beat(worker: None, signals: None) -> None:
    found = after(1, lambda: celery.send_task("log"))  # nobody asked for it, so there is no ID to pass on
    assert found["kwarg"] == [None]
    assert found["variable"][0].startswith("made-")


def test_when_must_it_be_cleared(worker: None, signals: None) -> None:
    def send() -> None:
        log.apply_async(headers={"x_correlation_id": SENT})
        log.delay()

    assert after(2, send)["variable"][1].startswith("made-")
    carried.remove("end")
    assert after(2, send)["variable"] == [SENT, SENT]  # the second task has the first one's ID


def test_personal_data_in_arguments(worker: None) -> None:
    found = after(2, lambda: again.apply_async(kwargs={"secret": "ann@example.com"}, kwargsrepr="{'secret': '…'}"))
    assert found["repr"] == ["{'secret': '…'}", "{'secret': 'ann@example.com'}"]  # the retry's message shows it
