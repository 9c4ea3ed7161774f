"""The shared application, asked in this process: no server, and a Redis of the test's own."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from fakeredis import FakeRedis
from fastapi import APIRouter, Request
from kombu.exceptions import OperationalError

from taskqueue import broker, logs, web
from taskqueue.bulkhead import BulkheadMiddleware
from taskqueue.contract import WORKER_KEY, WORKERS
from taskqueue.middleware import CorrelationMiddleware
from taskqueue.reliability import ledger
from taskqueue.schemas import TaskSubmission
from taskqueue.settings import MAX_BODY_BYTES


def ask(method: str, path: str, **options: Any) -> httpx.Response:
    """Send one request to the shared application, in this process, and return the answer."""
    router = APIRouter()

    @router.get("/broken")
    def broken() -> None:
        raise RuntimeError("boom")

    @router.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @router.post("/tasks")
    def tasks(submission: TaskSubmission) -> str:
        return submission.task_type

    @router.get("/unsent")
    def unsent() -> None:
        raise OperationalError("no broker")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "configure", lambda: None)  # pytest has its own handlers on the root logger
        app = web.create_app(router)

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(answer())


def store(redis: FakeRedis, task_id: str, status: str, result: Any = None) -> None:
    """Put a task's state into Redis as Celery's result backend does."""
    redis.set(f"celery-task-meta-{task_id}", json.dumps({"task_id": task_id, "status": status, "result": result}))


# --- the ID -----------------------------------------------------------------------------------------------------------


def test_an_unhandled_error_still_has_the_id_and_the_logs_have_it_too(caplog: pytest.LogCaptureFixture) -> None:
    answer = ask("GET", "/broken", headers={"X-Request-ID": "MY-TRACE-123"})

    assert answer.status_code == 500
    assert answer.headers["X-Request-ID"] == "MY-TRACE-123"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "boom" not in answer.text
    logged = [record for record in caplog.records if record.exc_info and record.name == "taskqueue"]
    assert [vars(record)["request_id"] for record in logged] == ["MY-TRACE-123"]


@pytest.mark.parametrize("sent", ["MY-TRACE-123", "a", "A.b_c-9", "x" * 128])
def test_a_usable_id_is_kept(sent: str) -> None:
    assert ask("GET", "/health/live", headers={"X-Request-ID": sent}).headers.get_list("X-Request-ID") == [sent]


@pytest.mark.parametrize("around", [" ID ", "ID \t", "\tID"])
def test_white_space_around_an_id_is_not_part_of_it(around: str) -> None:
    assert ask("GET", "/health/live", headers={"X-Request-ID": around}).headers["X-Request-ID"] == "ID"


@pytest.mark.parametrize("sent", ["", "x" * 129, "two words", 'quote"', "good\n", "\ngood", "good\r\nbad: 1", "Ü"])
def test_an_unusable_id_is_replaced_and_never_logged(sent: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = ask("GET", "/nowhere", headers=[(b"x-request-id", sent.encode("latin-1"))])

    own = answer.headers["X-Request-ID"]
    assert len(own) == 32 and int(own, 16)
    warned = [record for record in caplog.records if "replaced" in record.message]
    assert [vars(record)["request_id"] for record in warned] == [own]
    assert not sent or sent not in caplog.text.replace("\n", "")


def test_two_ids_are_replaced_with_one() -> None:
    ids = ask("GET", "/health/live", headers=[("x-request-id", "one"), ("x-request-id", "two")]).headers.get_list(
        "X-Request-ID"
    )
    assert len(ids) == 1
    assert ids[0] not in ("one", "two")


@pytest.mark.parametrize(("path", "level"), [("/health", 10), ("/health/live", 10), ("/api/v1/queues", 20)])
def test_a_request_is_logged_at_its_start_and_its_end_and_health_checks_only_for_debugging(
    path: str, level: int, redis: FakeRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "taskqueue")

    answer = ask("GET", path)

    lines = [vars(record) for record in caplog.records if record.name == "taskqueue"]
    assert [line["levelno"] for line in lines] == [level, level]
    assert {line["request_id"] for line in lines} == {answer.headers["X-Request-ID"]}
    assert lines[1]["status_code"] == answer.status_code
    assert lines[1]["duration_ms"] >= 0


# --- bodies and methods -----------------------------------------------------------------------------------------------


async def endless(pieces: int) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield b"x" * 65536


def test_a_body_that_is_not_announced_is_limited_too() -> None:
    assert ask("POST", "/echo", content=endless(10)).json() == {"bytes": 655360}
    assert ask("POST", "/echo", content=endless(40)).status_code == 413


def test_a_body_that_is_too_large_is_read_to_its_end_before_the_answer() -> None:
    """A client that is still sending would see its connection reset."""
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(40):
            taken += 1
            yield b"x" * 65536

    assert ask("POST", "/echo", content=counted()).status_code == 413
    assert taken == 40


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_a_body_that_is_not_declared_as_json_is_415(headers: dict[str, str]) -> None:
    answer = ask("POST", "/tasks", content=b'{"data": {}}', headers=headers)

    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "status", "named"), [(b'{"data": ', 400, "JSON"), (b'{"data": {}}', 422, "data.portfolio_data")]
)
def test_a_body_that_is_not_accepted_is_a_problem_that_says_why(content: bytes, status: int, named: str) -> None:
    answer = ask("POST", "/tasks", content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert named in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "allowed"), [("/api/v1/tasks/x", {"GET", "DELETE"}), ("/echo", {"POST"}), ("/health", {"GET"})]
)
def test_another_method_is_told_all_that_the_path_has(path: str, allowed: set[str]) -> None:
    for method in ("OPTIONS", "PUT"):
        answer = ask(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == allowed


def test_an_unknown_path_is_a_problem() -> None:
    answer = ask("GET", "/nowhere")

    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


def test_the_description_shows_problems_not_the_frameworks_own_errors() -> None:
    text = ask("GET", "/openapi.json").text
    paths = json.loads(text)["paths"]

    assert "HTTPValidationError" not in text
    assert "application/problem+json" in paths["/tasks"]["post"]["responses"]["422"]["content"]
    assert "422" not in paths["/health"]["get"]["responses"]


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_the_result_is_shown_after_success(redis: FakeRedis) -> None:
    store(redis, "t", "SUCCESS", {"var_amount": 1.5})

    state = ask("GET", "/api/v1/tasks/t").json()

    assert state == {"task_id": "t", "status": "SUCCESS", "result": {"var_amount": 1.5}, "error": None}


def test_after_a_failure_there_is_an_error_and_no_result(redis: FakeRedis) -> None:
    store(redis, "t", "FAILURE", {"exc_type": "ValueError", "exc_message": ["why", 3], "exc_module": "builtins"})

    state = ask("GET", "/api/v1/tasks/t").json()

    assert state == {"task_id": "t", "status": "FAILURE", "result": None, "error": "ValueError: why, 3"}


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
def test_a_stored_result_that_is_not_an_object_is_told(redis: FakeRedis, status: str) -> None:
    store(redis, "t", status, [7])

    answer = ask("GET", "/api/v1/tasks/t")

    assert (answer.status_code, answer.json()["result"]) == (200, None)
    assert answer.json()["error"].startswith("unknown: ")


def test_before_the_end_there_is_neither(redis: FakeRedis) -> None:
    store(redis, "t", "STARTED", {"pid": 1, "hostname": "celery@celery-worker-1"})

    assert ask("GET", "/api/v1/tasks/t").json() == {
        "task_id": "t",
        "status": "STARTED",
        "result": None,
        "error": None,
    }


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_task_is_404(redis: FakeRedis, method: str) -> None:
    answer = ask(method, "/api/v1/tasks/nobody")

    assert answer.status_code == 404
    assert "nobody" in answer.json()["detail"]


@pytest.fixture
def revoke(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """What tells the workers to stop a task."""
    told = Mock()
    monkeypatch.setattr(web.celery_app.control, "revoke", told)
    return told


def test_a_waiting_task_is_cancelled(redis: FakeRedis, revoke: Mock) -> None:
    ledger.accept("t", "tasks.calculate_var", {}, "low")

    answer = ask("DELETE", "/api/v1/tasks/t")

    assert (answer.status_code, answer.json()["status"]) == (200, "REVOKED")
    assert ask("GET", "/api/v1/tasks/t").json()["status"] == "REVOKED"
    assert ask("DELETE", "/api/v1/tasks/t").status_code == 200
    revoke.assert_not_called()


def test_a_task_that_a_worker_has_is_stopped_there(redis: FakeRedis, revoke: Mock) -> None:
    store(redis, "t", "STARTED")

    answer = ask("DELETE", "/api/v1/tasks/t")

    assert (answer.status_code, answer.json()["status"]) == (202, "STARTED")
    revoke.assert_called_once_with("t", terminate=True)


@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
def test_a_finished_task_is_not_cancelled(redis: FakeRedis, revoke: Mock, status: str) -> None:
    store(redis, "t", status, {})

    answer = ask("DELETE", "/api/v1/tasks/t")

    assert answer.status_code == 409
    assert status in answer.json()["detail"]
    revoke.assert_not_called()


def test_the_queues_are_counted(redis: FakeRedis) -> None:
    redis.rpush("medium", "a", "b")

    assert ask("GET", "/api/v1/queues").json() == {"high": 0, "medium": 2, "low": 0, "waiting": 0}


# --- health -----------------------------------------------------------------------------------------------------------


def away(*_: Any, **__: Any) -> None:
    raise broker.redis.ConnectionError("away")


def test_healthy_is_redis_and_a_worker(redis: FakeRedis) -> None:
    answer = ask("GET", "/health")
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVER_ERROR_NOT_READY")
    assert (answer.json()["redis"], answer.json()["workers"]) == (True, [])
    assert answer.headers["Retry-After"] in {"2", "3"}

    redis.set(f"{WORKER_KEY}{WORKERS[1]}", 1.5)

    answer = ask("GET", "/health")
    assert answer.status_code == 200
    breakers = {"admission": {"state": "closed", "waiting": 0, "limit": 500}, "redis": {"state": "closed"}}
    assert answer.json() == {"status": "healthy", "redis": True, "workers": [WORKERS[1]], "breakers": breakers}


def test_without_redis_a_server_is_unhealthy_and_lives(redis: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "execute_command", away)

    answer = ask("GET", "/health")

    assert answer.status_code == 503
    assert (answer.json()["redis"], answer.json()["workers"]) == (False, [])
    assert answer.json()["breakers"]["admission"]["state"] is None
    assert ask("GET", "/health/live").json() == {"status": "alive"}


def test_health_waits_for_a_frozen_redis_once(redis: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait takes half a second, and nginx waits for one."""
    asked = Mock(side_effect=away)
    monkeypatch.setattr(redis, "execute_command", asked)

    assert ask("GET", "/health").json()["redis"] is False
    asked.assert_called_once()


def test_without_redis_a_request_is_503_with_its_id(
    redis: FakeRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis, "execute_command", away)

    for path in ("/api/v1/tasks/t", "/unsent"):
        answer = ask("GET", path, headers={"X-Request-ID": "no-redis"})
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert answer.headers["X-Request-ID"] == "no-redis"
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [vars(record)["request_id"] for record in errors] == ["no-redis", "no-redis"]


def test_importing_the_api_imports_no_numpy() -> None:
    code = "import sys, taskqueue.web; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_refuse_what_is_not_a_redis_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from taskqueue.settings import Settings

    monkeypatch.setenv("REDIS_URL", "localhost:6379")
    with pytest.raises(ValueError, match="redis://localhost:6379/0"):
        Settings.from_environment()


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/dead-letters/x/requeue"), ("DELETE", "/api/v1/dead-letters/x")]
)
def test_an_unknown_dead_letter_is_404(redis: FakeRedis, method: str, path: str) -> None:
    answer = ask(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "CLIENT_ERROR_DEAD_LETTER_NOT_FOUND")
    assert "'x'" in answer.json()["detail"] and "GET /api/v1/dead-letters" in answer.json()["detail"]


def test_without_dead_letters_the_list_is_empty(redis: FakeRedis) -> None:
    assert ask("GET", "/api/v1/dead-letters").json() == []


def test_both_lines_of_a_request_say_what_it_was_and_the_second_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "taskqueue")
    ask("POST", "/echo", content=b"abc", headers={"X-Request-ID": "MY-TRACE-123"})
    begin, end = (vars(record) for record in caplog.records if record.name == "taskqueue")
    for line in (begin, end):
        assert (line["request_id"], line["method"], line["path"]) == ("MY-TRACE-123", "POST", "/echo")
    assert begin["message"] == "Request started: POST /echo"
    assert (end["message"], end["status_code"]) == ("Request completed: 200", 200)
    assert 0 < end["duration_ms"] < 60_000
    assert len(str(end["duration_ms"]).partition(".")[2]) <= 3


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_may_have_exactly_the_limit(size: int, status: int, pieces: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(pieces):
            yield b"x" * (size // pieces + (size % pieces if number == 0 else 0))

    answer = ask("POST", "/echo", content=body())
    assert answer.status_code == status
    if status == 413:
        assert str(MAX_BODY_BYTES) in answer.json()["detail"]


def test_what_is_not_http_passes_unchanged() -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.append(arguments)

    arguments = ({"type": "lifespan"}, object(), object())
    for middleware in (CorrelationMiddleware, BulkheadMiddleware):
        asyncio.run(middleware(app)(*arguments))
    assert seen == [arguments, arguments]


def test_the_description_names_the_application_and_how_each_request_can_fail() -> None:
    description = ask("GET", "/openapi.json").json()
    assert description["info"] == {"title": "Clew task queue", "version": "1.0.0"}
    statuses = {
        path: set(operation["responses"])
        for path, operations in description["paths"].items()
        for operation in operations.values()
    }
    assert statuses["/tasks"] == {"200", "400", "413", "415", "422", "500", "503"}
    assert statuses["/api/v1/dead-letters/{letter_id}/requeue"] >= {"202", "404", "409", "500", "503"}


@pytest.mark.parametrize("durable", [True, False])
def test_only_with_the_durable_settings_posts_wait_for_a_turn(monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    monkeypatch.setattr(web, "settings", SimpleNamespace(durable=durable))
    monkeypatch.setattr(logs, "configure", lambda: None)
    app = web.create_app(APIRouter())
    assert isinstance(app, CorrelationMiddleware)
    assert isinstance(app.app, BulkheadMiddleware) is durable


def test_an_error_in_the_body_is_told_without_what_was_sent_and_without_links() -> None:
    answer = ask("POST", "/tasks", json={"task_type": "calculate_var", "data": {"secret": "hunter2"}})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text and "errors.pydantic" not in answer.text
    assert {*answer.json()["errors"][0]} == {"field", "message"}
