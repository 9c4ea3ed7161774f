"""The HTTP API through nginx, on a running stage 5."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
from raw_http import ask, post
from up import Up

from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.evidence.message import nobody_consuming
from clew.stacks.ready import is_ready, redis_client
from clew.stacks.services import API_SERVERS, REDIS, WORKERS
from taskqueue.codes import CODES

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


def request(line: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: 127.0.0.1", b"Connection: close", *headers]) + b"\r\n\r\n"


MALFORMED = {
    "above the root": (request(b"GET /../../etc/passwd HTTP/1.1"), 400),
    "half an escape": (request(b"GET /% HTTP/1.1"), 400),
    "NUL in the path": (request(b"GET /%00 HTTP/1.1"), 400),
    "space in the path": (request(b"GET /a b HTTP/1.1"), 400),
    "a star": (request(b"GET * HTTP/1.1"), 400),
    "lower case": (request(b"get / HTTP/1.1"), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, 400),
    "no Host": (b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "NUL in a header": (request(b"GET /health HTTP/1.1", b"X-Request-ID: a\x00b"), 400),
    "two lengths": (request(b"POST / HTTP/1.1", b"Content-Length: 3", b"Transfer-Encoding: chunked"), 400),
    "TRACE": (request(b"TRACE /health HTTP/1.1"), 405),
    "a long path": (request(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414),
    "a long header": (request(b"GET /health HTTP/1.1", b"X-Long: " + b"x" * 9000), 431),
    "many headers": (request(b"GET /health HTTP/1.1", *(b"X-%d: " % n + b"x" * 4000 for n in range(12))), 431),
    "an unknown method": (request(b"FOO /health HTTP/1.1"), 405),
    "an unknown encoding": (request(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip"), 501),
    "HTTP/3": (request(b"GET / HTTP/3.0"), 505),
    "nginx's own page": (request(b"GET /unreadable-request HTTP/1.1"), 404),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_nginx_refuses_is_a_problem_with_the_right_status_and_an_id(stage_5: Up, name: str) -> None:
    sent, status = MALFORMED[name]

    answer = ask(stage_5.stack.port, sent)

    assert answer.status == answer.json["status"] == CODES[answer.json["code"]].status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.ids == [answer.json["correlation_id"]]
    assert ("allow" in answer.headers) is (status == 405)


def test_health_tells_redis_and_the_three_workers(api: httpx.Client) -> None:
    answer = api.get("/health")

    assert answer.status_code == 200
    found = answer.json()
    assert found.pop("breakers")["admission"] == {"state": "closed", "waiting": 0, "limit": 500}
    assert found == {"status": "healthy", "redis": True, "workers": list(WORKERS)}


def test_a_waiting_task_is_counted_and_cancelled(api: httpx.Client, stage_5: Up) -> None:
    body = client.request_body()
    with nobody_consuming(stage_5.stack):
        task_id = api.post("/api/v1/tasks", json={**body, "priority": "low"}).json()["task_id"]
        assert api.get("/api/v1/queues").json() == {"high": 0, "medium": 0, "low": 1, "waiting": 1}
        assert api.get(f"/api/v1/tasks/{task_id}").json()["status"] == "PENDING"

        answer = api.delete(f"/api/v1/tasks/{task_id}")

        assert answer.status_code == 200
        assert answer.json()["status"] == "REVOKED"
        assert api.get("/api/v1/queues").json()["waiting"] == 0  # its message is ignored by whoever fetches it
    assert api.get(f"/api/v1/tasks/{task_id}").json()["status"] == "REVOKED"
    assert not [line for line in logs.with_id(logs.read(stage_5.driver), task_id) if line.get("hop") == "worker"]


def test_a_running_task_is_stopped(api: httpx.Client, stage_5: Up) -> None:
    def stop_one() -> str | None:
        """Return the ID of a task that was stopped, None for one that ended first."""
        task_id = api.post("/api/v1/tasks", json=SLOW_TASK).json()["task_id"]
        path = f"/api/v1/tasks/{task_id}"
        wait_until(lambda: api.get(path).json()["status"] != "PENDING", 60, "start", "", every=0.01)
        answer = api.delete(path)
        assert answer.status_code in (202, 409)
        return str(task_id) if client.result(stage_5.stack, task_id, seconds=60)["status"] == "REVOKED" else None

    task_id = next(filter(None, (stop_one() for _ in range(10))))
    messages: list[str] = []

    def logged() -> bool:
        messages[:] = [line["message"] for line in logs.with_id(logs.read(stage_5.driver), task_id)]
        return any("STOPPED" in message for message in messages)

    wait_until(logged, 10, "the task's last line", "")
    assert not [message for message in messages if "COMPLETE" in message or "FAILED" in message]


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


def test_without_redis_a_server_answers_503_before_nginx_gives_up_on_it_and_health_says_so(
    api: httpx.Client, stage_5: Up
) -> None:
    stage_5.driver.stop(REDIS)
    try:
        answer = api.post("/api/v1/tasks", json=client.request_body(), headers={"X-Request-ID": "no-redis"})
        health = api.get("/health")
        alive = api.get("/health/live")
    finally:
        stage_5.driver.start(REDIS)

    assert answer.status_code == 503
    assert answer.headers["X-Request-ID"] == "no-redis"
    assert len(answer.headers.get_list("Retry-After")) == 1  # the server's own, and not nginx's too
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "SERVER_ERROR_BROKER_DOWN"
    assert answer.json()["correlation_id"] == "no-redis"
    assert (health.status_code, alive.status_code) == (503, 200)
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
    assert answer.headers["X-Request-ID"] == answer.json()["correlation_id"] == "no-server"
    assert answer.json()["code"] == "SERVER_ERROR_NO_SERVER"
    assert [int(wait) in (2, 3) for wait in answer.headers.get_list("Retry-After")] == [True]
    wait_until(lambda: all(is_ready(stage_5.stack, name) for name in API_SERVERS), 30, "recovery", "")
