"""What the shared application does without any service running."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request

from taskqueue import logs
from taskqueue.web import create_app


def ask(method: str, path: str, **options: Any) -> httpx.Response:
    """Send one request to the shared application, in this process, and return the answer."""
    router = APIRouter()

    @router.get("/broken")
    def broken() -> None:
        raise RuntimeError("boom")

    @router.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "configure", lambda: None)  # pytest has its own handlers on the root logger
        app = create_app(router)

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(answer())


def test_an_unhandled_error_still_has_the_id_and_the_logs_have_it_too(caplog: pytest.LogCaptureFixture) -> None:
    answer = ask("GET", "/broken", headers={"X-Request-ID": "MY-TRACE-123"})

    assert answer.status_code == 500
    assert answer.headers["X-Request-ID"] == "MY-TRACE-123"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "boom" not in answer.text
    logged = [record for record in caplog.records if record.exc_info and record.name == "taskqueue"]
    assert [vars(record)["request_id"] for record in logged] == ["MY-TRACE-123"]


async def endless(pieces: int) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield b"x" * 65536


def test_a_body_that_is_not_announced_is_limited_too() -> None:
    assert ask("POST", "/echo", content=endless(10)).json() == {"bytes": 655360}
    assert ask("POST", "/echo", content=endless(40)).status_code == 413


def test_a_log_line_is_one_line_of_json_whatever_is_in_it() -> None:
    record = logging.makeLogRecord({"msg": 'a\nb "c" \x1b[31m ⚡', "hop": "x", "pathname": __file__, "lineno": 3})
    text = logs.JsonLine().format(record)

    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == 'a\nb "c" \x1b[31m ⚡'
    assert line["at"].endswith("test_web.py:3")


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "x", "exc_info": (ValueError, error, error.__traceback__)})

    assert "ValueError: why" in json.loads(logs.JsonLine().format(record))["exception"]


def test_importing_the_api_imports_no_numpy() -> None:
    import subprocess
    import sys

    code = "import sys, taskqueue.web; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_refuse_what_is_no_redis_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from taskqueue.settings import Settings

    monkeypatch.setenv("REDIS_URL", "localhost:6379")
    with pytest.raises(ValueError, match="redis://localhost:6379/0"):
        Settings.from_environment()
