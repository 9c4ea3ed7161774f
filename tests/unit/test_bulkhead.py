"""The bulkhead: who gets a turn, who waits for it, and who has left before it came."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from taskqueue.bulkhead import AT_ONCE, BulkheadMiddleware

BODY = {"type": "http.request", "body": b"{}", "more_body": False}
GONE = {"type": "http.disconnect"}


class App:
    """Notes what it receives, and answers when it is told to."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.go_on = asyncio.Event()
        self.fails = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.received.append([await receive(), await receive()] if scope["method"] == "POST" else scope["method"])
        if self.fails:
            raise RuntimeError
        await self.go_on.wait()


async def ask(bulkhead: BulkheadMiddleware, method: str, *messages: Any) -> None:
    left = list(messages)

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(message)

    await bulkhead({"type": "http", "method": method, "state": {"correlation_id": "MY-TRACE-123"}}, receive, send)


async def begun(app: App, count: int) -> None:
    async with asyncio.timeout(5):
        while len(app.received) < count:
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)


async def crowd(*more: tuple[str, Any]) -> tuple[App, list[Any], int]:
    """Fill the bulkhead, send `more`, then let all be answered; return the app and what it had before that."""
    app = App()
    bulkhead = BulkheadMiddleware(app)
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(ask(bulkhead, "POST", BODY, GONE))
        await begun(app, AT_ONCE)
        for method, *messages in more:
            group.create_task(ask(bulkhead, method, *messages))
        await begun(app, AT_ONCE)
        before = list(app.received)
        app.go_on.set()
    return app, before[AT_ONCE:], len(app.received) - AT_ONCE


def test_a_request_gets_its_whole_body() -> None:
    app, _, _ = asyncio.run(crowd())
    assert app.received == [[BODY, GONE]] * AT_ONCE


def test_one_more_waits_for_its_turn() -> None:
    _, before, after = asyncio.run(crowd(("POST", BODY, GONE)))
    assert (before, after) == ([], 1)


def test_who_reads_does_not_wait() -> None:
    _, before, _ = asyncio.run(crowd(("GET",)))
    assert before == ["GET"]


def test_who_has_hung_up_before_its_turn_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _, _, after = asyncio.run(crowd(("POST", GONE), ("POST", BODY, GONE)))
    assert after == 1
    [line] = [vars(record) for record in caplog.records if record.name == "taskqueue"]
    assert line["request_id"] == "MY-TRACE-123"


def test_a_failure_gives_the_turn_back() -> None:
    async def fail_often() -> App:
        app = App()
        app.fails = True
        bulkhead = BulkheadMiddleware(app)
        for _ in range(AT_ONCE + 1):
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(ask(bulkhead, "POST", BODY, GONE), 5)
        return app

    assert len(asyncio.run(fail_often()).received) == AT_ONCE + 1
