"""The HTTP API through nginx, on a running stage 5."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
from raw_http import post
from up import Up

from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.evidence.message import nobody_consuming
from clew.stacks.ready import is_ready, redis_client
from clew.stacks.services import API_SERVERS, REDIS, WORKERS

SLOW_TASK = {"task_type": "calculate_var", "data": {"positions": [], "simulations": 1_000_000}}
SLOW_TASK["data"]["positions"] = [{"symbol": f"S{n}", "quantity": 1, "price": 1.0} for n in range(30)]


@pytest.fixture
def api(stage_5: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage_5.stack.url, timeout=10, trust_env=False) as http:
        yield http


def test_the_seeds_request_is_answered_201_pending_with_its_location(api: httpx.Client) -> None:
    positions = [{"symbol": "AAPL", "quantity": 100, "price": 150.0}]
    body = {"task_type": "calculate_var", "data": {"portfolio_data": {"positions": positions}}, "priority": "high"}

    answer = api.post("/api/v1/tasks", json=body, headers={"X-Request-ID": "ULTIMATE-SUCCESS-123"})

    assert answer.status_code == 201
    assert answer.json().keys() == {"task_id", "status"}
    assert answer.json()["status"] == "PENDING"
    assert answer.headers["Location"] == f"/api/v1/tasks/{answer.json()['task_id']}"
    assert answer.headers.get_list("X-Request-ID") == ["ULTIMATE-SUCCESS-123"]


def test_a_result_is_there_to_be_read(api: httpx.Client, stage_5: Up) -> None:
    body = {"data": {"positions": [{"symbol": "AAPL", "quantity": 100, "price": 150.0}], "seed": 7}}
    answer = api.post("/api/v1/tasks", json=body)

    state = client.result(stage_5.stack, answer.json()["task_id"])

    assert state["status"] == "SUCCESS"
    assert 1_000 < state["result"]["var_amount"] < 1_400  # closed form: 15,000 * (1 - exp(-0.00124 - 1.645 * 0.0498))
    assert state["result"]["seed"] == 7
    assert state["error"] is None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_task_is_404_not_pending(api: httpx.Client, method: str) -> None:
    answer = api.request(method, "/api/v1/tasks/64cecbac-6e28-4001-b1a7-000000000000")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "64cecbac" in answer.json()["detail"]


BAD_BODIES = {
    "NaN": (b'{"data": {"positions": [{"symbol": "A", "quantity": 1, "price": NaN}]}}', 422, "price"),
    "empty positions": (b'{"data": {"positions": []}}', 422, "positions"),
    "negative price": (b'{"data": {"positions": [{"symbol": "A", "quantity": 1, "price": -1}]}}', 422, "price"),
    "10^9 paths": (
        b'{"data": {"positions": [{"symbol": "A", "quantity": 1, "price": 1}], "simulations": 1000000000}}',
        422,
        "simulations",
    ),
    "wrong type": (b'{"data": {"positions": [{"symbol": "A", "quantity": "many", "price": 1}]}}', 422, "quantity"),
    "unknown field": (b'{"data": {"positions": [{"symbol": "A", "quantity": 1, "price": 1}]}, "x": 1}', 422, "x"),
    "unknown task": (b'{"task_type": "rm", "data": {}}', 422, "task_type"),
    "correlation": (
        json.dumps(
            {
                "data": {
                    "portfolio_data": {
                        "positions": [{"symbol": s, "quantity": 1, "price": 1} for s in "ABC"],
                        "correlation": [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]],
                    }
                }
            }
        ).encode(),
        422,
        "correlation",
    ),
    "no JSON": (b'{"data": ', 400, "JSON"),
    "2 MB": (b'{"data": "' + b"x" * 2_000_000 + b'"}', 413, "larger"),
}


@pytest.mark.parametrize("door", ["nginx-loadbalancer", API_SERVERS[0]])
@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_input_names_its_field_and_never_reaches_the_queue(stage_5: Up, name: str, door: str) -> None:
    body, status, named = BAD_BODIES[name]
    began = time.time()
    own_id = f"bad-{uuid.uuid4().hex[:8]}"

    answer = post(stage_5.stack.ports[door], body, [own_id.encode()])

    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status
    assert named in json.dumps(problem)
    assert answer.ids == [own_id]
    lines: list[Line] = []

    def logged() -> bool:  # the request's last line: of nginx, or of the server that was asked
        lines[:] = logs.read(stage_5.driver, began)
        return any("status_code" in line and line["service"] == door for line in logs.with_id(lines, own_id))

    wait_until(logged, 5, "the request's last log line", "", every=0.02)
    hops = {line.get("hop") for line in lines}
    assert not hops & {"routes", "task-service", "queue-service", "worker"}


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/tasks/x/y"])
def test_an_unknown_path_is_a_problem_too(api: httpx.Client, path: str) -> None:
    answer = api.get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_health_tells_redis_and_the_three_workers(api: httpx.Client) -> None:
    answer = api.get("/health")

    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "redis": True, "workers": list(WORKERS)}


def test_a_waiting_task_is_counted_and_cancelled_off_its_queue(api: httpx.Client, stage_5: Up) -> None:
    body = client.request_body()
    with nobody_consuming(stage_5.stack):
        task_id = api.post("/api/v1/tasks", json={**body, "priority": "low"}).json()["task_id"]
        assert api.get("/api/v1/queues").json() == {"high": 0, "medium": 0, "low": 1}
        assert api.get(f"/api/v1/tasks/{task_id}").json()["status"] == "PENDING"

        answer = api.delete(f"/api/v1/tasks/{task_id}")

        assert answer.status_code == 200
        assert answer.json()["status"] == "REVOKED"
        assert api.get("/api/v1/queues").json() == {"high": 0, "medium": 0, "low": 0}
    assert api.get(f"/api/v1/tasks/{task_id}").json()["status"] == "REVOKED"
    assert not [line for line in logs.with_id(logs.read(stage_5.driver), task_id) if line.get("hop") == "worker"]


def test_a_running_task_is_stopped(api: httpx.Client, stage_5: Up) -> None:
    task_id = api.post("/api/v1/tasks", json=SLOW_TASK).json()["task_id"]
    wait_until(lambda: api.get(f"/api/v1/tasks/{task_id}").json()["status"] == "STARTED", 10, "start", "", every=0.01)

    answer = api.delete(f"/api/v1/tasks/{task_id}")

    assert answer.status_code == 202
    assert client.result(stage_5.stack, task_id, seconds=10)["status"] == "REVOKED"
    lines = logs.with_id(logs.read(stage_5.driver), task_id)
    assert not [line for line in lines if "COMPLETE" in line["message"]]


def test_a_finished_task_cannot_be_cancelled(api: httpx.Client, stage_5: Up) -> None:
    task_id = api.post("/api/v1/tasks", json=client.request_body()).json()["task_id"]
    client.result(stage_5.stack, task_id)

    answer = api.delete(f"/api/v1/tasks/{task_id}")

    assert answer.status_code == 409
    assert "SUCCESS" in answer.json()["detail"]


@pytest.mark.parametrize("priority", ["high", "medium", "low"])
def test_a_task_waits_on_the_queue_of_its_priority(api: httpx.Client, stage_5: Up, priority: str) -> None:
    with nobody_consuming(stage_5.stack), redis_client(stage_5.stack) as redis:
        task_id = api.post("/api/v1/tasks", json={**client.request_body(), "priority": priority}).json()["task_id"]
        assert [queue for queue in ("high", "medium", "low") if redis.llen(queue)] == [priority]
    assert client.result(stage_5.stack, task_id)["status"] == "SUCCESS"


def test_without_redis_a_request_is_503_with_its_id_soon_and_health_says_so(api: httpx.Client, stage_5: Up) -> None:
    stage_5.driver.stop(REDIS)
    try:
        answer = api.post("/api/v1/tasks", json=client.request_body(), headers={"X-Request-ID": "no-redis"})
        health = api.get("/health")
    finally:
        stage_5.driver.start(REDIS)

    assert answer.status_code == 503
    assert answer.headers["X-Request-ID"] == "no-redis"
    assert answer.headers["Retry-After"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.elapsed.total_seconds() < 4
    assert health.status_code == 503
    wait_until(lambda: all(is_ready(stage_5.stack, name) for name in (REDIS, *WORKERS)), 60, "recovery", "")
    assert client.result(stage_5.stack, client.send_task(stage_5.stack).task_id)["status"] == "SUCCESS"


def test_with_no_api_server_nginx_answers_503_with_the_id_itself(api: httpx.Client, stage_5: Up) -> None:
    for server in API_SERVERS:
        stage_5.driver.stop(server)
    try:
        answer = api.get("/health", headers={"X-Request-ID": "no-server"})
    finally:
        for server in API_SERVERS:
            stage_5.driver.start(server)

    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == "no-server"
    wait_until(lambda: all(is_ready(stage_5.stack, name) for name in API_SERVERS), 30, "recovery", "")
