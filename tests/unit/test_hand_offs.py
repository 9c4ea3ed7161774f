"""Every mix of the stage files in one process: a request through routes, task service and queue service to the task.

Only nginx is not here: its part is the ID that the server is sent.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakeredis import FakeRedis

from clew import ladder
from clew.evidence.client import REQUESTS, request_body
from taskqueue import logs, producer, risk

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(logs, "configure", lambda: None)  # pytest has its own handlers on the root logger
    from taskqueue import worker

SENT = "MY-TRACE-123"
BY_NGINX = "0123456789abcdef0123456789abcdef"


class FakeCelery:
    """Takes messages and keeps them."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send_task(self, name: str, **message: Any) -> None:
        self.sent.append({"name": name, **json.loads(json.dumps(message))})


class Stage:
    """A mix's API and its tasks, imported as the services import them."""

    def __init__(self, mix: str, folder: Path, celery: FakeCelery) -> None:
        ladder.write_mix(mix, folder)
        self.celery = celery
        self.app = self._import(folder / "fastapi-app", "main", "api", "services").app
        self._import(folder / "celery-worker", "tasks")

    def _import(self, folder: Path, name: str, *packages: str) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            patch.setattr(logs, "configure", lambda: None)
            module = importlib.import_module(name)
        for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] in (name, *packages)]:
            del sys.modules[loaded]
        return module

    def post(self, body: dict[str, Any], correlation_id: str) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post("/api/v1/tasks", json=body, headers={"X-Request-ID": correlation_id})

        return asyncio.run(answer())

    def run(self, message: dict[str, Any]) -> Any:
        """Do what a worker does with a message, and return the task's result."""
        task = worker.app.tasks[message["name"]]
        return task.apply(kwargs=message["kwargs"], task_id=message["task_id"], throw=True).get()


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    redis: FakeRedis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Stage]:
    celery = FakeCelery()
    monkeypatch.setattr(producer, "celery_app", celery)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    caplog.set_level(logging.INFO)
    yield Stage(request.param, tmp_path, celery)
    for name in [name for name in worker.app.tasks if name.startswith("tasks.")]:
        worker.app.tasks.unregister(name)


def hand_offs(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, Any]]:
    lines = [vars(record) for record in caplog.records if hasattr(record, "hop")]
    found = {line["hop"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def verdict(found: str | None) -> str:
    return "missing" if found is None else "kept" if found == SENT else "replaced"


@pytest.mark.parametrize("stage", ladder.all_mixes(), indirect=True)
def test_every_layer_passes_on_what_the_truth_table_says(
    stage: Stage, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    mix = request.node.callspec.params["stage"]
    arriving = SENT if mix[0] == "1" else BY_NGINX
    body = request_body(data={**REQUESTS["calculate_var"], "simulations": 1000})

    answer = stage.post(body, arriving)
    [message] = stage.celery.sent
    stage.run(message)

    assert answer.status_code == 201
    found = hand_offs(caplog)
    ids = {"nginx": arriving, **{hop: line["correlation_id"] for hop, line in found.items()}}
    assert tuple(verdict(ids[hop]) for hop in ladder.HOPS) == ladder.expected(mix)
    assert message["kwargs"].get("correlation_id") == ids["queue-service"]
    assert found["queue-service"]["task_id"] == found["worker"]["task_id"] == message["task_id"]


ENDS = pytest.mark.parametrize("stage", [ladder.stage(0).mix, ladder.stage(5).mix], indirect=True)


@ENDS
@pytest.mark.parametrize("task_type", REQUESTS)
@pytest.mark.parametrize("priority", ["high", "medium", "low"])
def test_the_message_names_the_task_its_queue_and_its_data(
    stage: Stage, redis: FakeRedis, task_type: str, priority: str
) -> None:
    answer = stage.post({**request_body(task_type), "priority": priority}, SENT)

    [message] = stage.celery.sent
    task_id = answer.json()["task_id"]
    assert answer.headers["Location"] == f"/api/v1/tasks/{task_id}"
    assert (message["name"], message["task_id"], message["queue"]) == (f"tasks.{task_type}", task_id, priority)
    assert message["kwargs"].keys() - {"correlation_id"} <= set(risk_parameters(task_type))
    assert json.loads(str(redis.get(f"celery-task-meta-{task_id}")))["status"] == "PENDING"


def risk_parameters(task_type: str) -> tuple[str, ...]:
    return tuple(inspect.signature(getattr(risk, task_type)).parameters)


@ENDS
@pytest.mark.parametrize("task_type", REQUESTS)
def test_every_task_logs_the_id_that_it_is_given_or_none(
    stage: Stage, request: pytest.FixtureRequest, task_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage.post(request_body(task_type), SENT)
    [message] = stage.celery.sent
    message["kwargs"]["correlation_id"] = SENT

    assert stage.run(message)

    lines = [vars(record) for record in caplog.records if getattr(record, "task_id", "") == message["task_id"]]
    fixed = request.node.callspec.params["stage"] == ladder.stage(5).mix
    assert [line["correlation_id"] for line in lines[-2:]] == [SENT if fixed else None] * 2
    assert lines[-1]["message"].endswith("COMPLETE")
