"""Every error has its code, the correlation ID of its request, and where waiting helps, how long to wait."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import pytest
from fakeredis import FakeRedis
from fastapi import APIRouter
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from clew.core.paths import STACK
from taskqueue import logs, web
from taskqueue.codes import CODES, code_of
from taskqueue.reliability import doubts, ledger
from taskqueue.reliability.refusals import AlreadyAccepted, Refused

ID = "MY-TRACE-123"


@pytest.fixture
def ask(redis: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask the application for /probe, which raises what it is given."""
    monkeypatch.setattr(logs, "configure", lambda: None)

    def ask(error: Exception, headers: dict[str, str] | None = None) -> httpx.Response:
        router = APIRouter()

        @router.post("/probe")
        def probe() -> None:
            raise error

        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(web.create_app(router), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post("/probe", headers={"X-Request-ID": ID, **(headers or {})})

        return asyncio.run(answer())

    return ask


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("SERVER_ERROR_QUEUE_FULL", "full", 5), "SERVER_ERROR_QUEUE_FULL"),
        (Refused("CLIENT_ERROR_IDEMPOTENCY_KEY_REUSED", "reused"), "CLIENT_ERROR_IDEMPOTENCY_KEY_REUSED"),
        (RedisTimeoutError("away"), "SERVER_ERROR_BROKER_DOWN"),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), "SERVER_ERROR_BROKER_FULL"),
        (OutOfMemoryError("command not allowed"), "SERVER_ERROR_BROKER_FULL"),
        (ResponseError("WRONGTYPE Operation against a key"), "SERVER_ERROR_UNEXPECTED"),
        (ZeroDivisionError("a fault"), "SERVER_ERROR_UNEXPECTED"),
    ],
)
def test_an_error_has_its_code_and_the_request_s_id(ask: Any, error: Exception, code: str) -> None:
    answer = ask(error)

    assert answer.status_code == CODES[code].status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["correlation_id"]) == (code, ID)
    assert ("Retry-After" in answer.headers) == (answer.status_code == 503)


def test_clients_that_were_refused_together_do_not_come_back_together(ask: Any) -> None:
    waits = {int(ask(Refused("SERVER_ERROR_QUEUE_FULL", "full", 20)).headers["Retry-After"]) for _ in range(30)}
    assert len(waits) > 1
    assert waits <= set(range(20, 31))


@pytest.mark.parametrize(("from_client", "status", "more"), [(True, 200, {"from_cache": True}), (False, 201, {})])
def test_a_repeated_request_gets_the_first_one_s_task(
    ask: Any, from_client: bool, status: int, more: dict[str, bool]
) -> None:
    answer = ask(AlreadyAccepted("t-1", from_client))

    assert answer.status_code == status
    assert answer.json() == {"task_id": "t-1", "status": "PENDING", **more}
    assert answer.headers["Location"] == "/api/v1/tasks/t-1"


def test_every_code_that_is_raised_is_on_the_list() -> None:
    sources = [path.read_text() for path in (STACK / "taskqueue").rglob("*.py")] + [
        (STACK / "nginx/problems.conf").read_text()
    ]
    used = {code for source in sources for code in re.findall(r'"((?:CLIENT|SERVER)_ERROR_[A-Z_]+)"', source)}
    assert used == set(CODES)


def test_nginx_says_what_the_list_says() -> None:
    text = (STACK / "nginx/problems.conf").read_text()
    bodies = [json.loads(body) for body in re.findall(r"'(\{.*\})';", text)]
    assert len(bodies) == 11
    for body in bodies:
        assert body["status"] == CODES[body["code"]].status
        assert body["correlation_id"] == "@id"


@pytest.mark.parametrize(("status", "code"), [(404, "CLIENT_ERROR_NOT_FOUND"), (418, "CLIENT_ERROR_OTHER")])
def test_a_status_without_a_named_case_has_a_code(status: int, code: str) -> None:
    assert code_of(status) == code
    assert code_of(599) == "SERVER_ERROR_UNEXPECTED"


def test_the_request_s_key_reaches_the_ledger(redis: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda: None)
    router = APIRouter()

    @router.post("/accept")
    def accept() -> None:
        ledger.accept("t-1" if not redis.keys("ledger:tasks") else "t-2", "a.task", {}, "high")

    async def answers() -> list[int]:
        transport = httpx.ASGITransport(web.create_app(router))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"Idempotency-Key": "k"}
            return [(await client.post("/accept", headers=headers)).status_code for _ in range(2)]

    assert asyncio.run(answers()) == [200, 200]
    assert redis.hkeys("ledger:tasks") == ["t-1"]


@pytest.mark.parametrize("hung_up", [True, False])
def test_a_task_that_its_client_was_not_told_of_is_taken_back(
    redis: FakeRedis, monkeypatch: pytest.MonkeyPatch, hung_up: bool
) -> None:
    monkeypatch.setattr(logs, "configure", lambda: None)
    monkeypatch.setattr(doubts, "_thread", object())  # settled by hand here
    router = APIRouter()

    @router.post("/accept", status_code=201)
    async def accept(data: dict[str, int]) -> None:
        ledger.accept("t-1", "a.task", data, "high")
        await asyncio.sleep(0)  # an answer takes a moment

    async def ask() -> list[int]:
        sent: list[int] = []

        incoming = [{"type": "http.request", "body": b'{"seed": 7}', "more_body": False}]

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop()
            if not hung_up:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message.get("status"))

        headers = [(b"x-retry-key", b"r-1"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/accept", "headers": headers, "query_string": b""}
        await web.create_app(router)(scope, receive, send)
        return sent

    assert asyncio.run(ask())[0] == 201
    assert redis.hkeys("ledger:tasks") == ["t-1"]
    assert doubts.settle() == 0
    assert redis.hkeys("ledger:tasks") == ([] if hung_up else ["t-1"])
