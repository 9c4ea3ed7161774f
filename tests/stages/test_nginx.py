"""nginx in front of servers that hang or died: the next one answers and the task runs once. And its own answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest
from raw_http import ask
from up import Up

from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.stacks.ready import is_ready
from clew.stacks.services import API_SERVERS, NGINX, WORKERS

HUNG, DEAD = API_SERVERS[1], API_SERVERS[2]


@pytest.fixture
def api(stage_5: Up) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage_5.stack.url, timeout=10, trust_env=False) as http:
        yield http


def ready(up: Up, service: str) -> None:
    wait_until(lambda: is_ready(up.stack, service), 60, f"{service} to be ready", "")


def sent_to_each_server(api: httpx.Client, headers: dict[str, str]) -> list[tuple[str, httpx.Response]]:
    """POST a task for each server, which nginx asks in turn; return each one's correlation ID and answer."""
    ids = [f"tries-{uuid.uuid4().hex[:8]}" for _ in API_SERVERS]
    body = client.request_body()
    return [
        (own_id, api.post("/api/v1/tasks", json=body, headers={**headers, "X-Request-ID": own_id})) for own_id in ids
    ]


def tries(up: Up, own_id: str) -> list[str]:
    """Return the status of each server that nginx tried for a request."""
    found: list[Line] = []

    def logged() -> bool:
        found[:] = [line for line in logs.with_id(logs.read(up.driver), own_id) if line["service"] == NGINX]
        return bool(found)

    wait_until(logged, 10, "nginx's line", "")
    return str(found[0]["upstream_status"]).split(", ")


def runs(up: Up, own_id: str) -> set[str]:
    """Return the task IDs that workers logged for a request."""
    lines = logs.with_id(logs.read(up.driver), own_id)
    return {str(line["task_id"]) for line in lines if line["service"] in WORKERS and line.get("task_id")}


def accepted(up: Up, own_id: str, answer: httpx.Response) -> list[str]:
    """Check that a request led to one task, which ran; return the statuses of nginx's tries."""
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == {"task_id", "status"}
    task_id = answer.json()["task_id"]
    assert client.result(up.stack, task_id)["status"] == "SUCCESS"
    wait_until(lambda: runs(up, own_id) == {task_id}, 10, "the worker's lines", "")
    return tries(up, own_id)


@pytest.mark.parametrize("headers", [{}, {"X-Retry-Key": "one", "X-Request-Start": "t=1"}])
def test_a_server_that_hangs_is_passed_over_and_creates_no_task_when_it_goes_on(
    api: httpx.Client, stage_5: Up, headers: dict[str, str]
) -> None:
    """Also with headers that only nginx may set: a client's own would make all three the same, and too late."""
    stage_5.driver.pause(HUNG)
    try:
        answers = sent_to_each_server(api, headers)
    finally:
        stage_5.driver.unpause(HUNG)
    ready(stage_5, HUNG)

    all_tries = [accepted(stage_5, own_id, answer) for own_id, answer in answers]
    assert ["504", "201"] in all_tries
    assert {statuses[-1] for statuses in all_tries} == {"201"}
    assert len({answer.json()["task_id"] for _, answer in answers}) == len(answers)
    # The hung server had the request in its socket: it is told that it is too late, or that the task exists.
    passed_over = next(own_id for own_id, answer in answers if tries(stage_5, own_id) == ["504", "201"])
    task_id = next(answer.json()["task_id"] for own_id, answer in answers if own_id == passed_over)
    wait_until(
        lambda: any(
            line["service"] == HUNG and "status_code" in line
            for line in logs.with_id(logs.read(stage_5.driver), passed_over)
        ),
        10,
        "the hung server's answer, which nobody reads",
        "",
    )
    assert runs(stage_5, passed_over) == {task_id}


def test_a_server_that_was_killed_is_passed_over(api: httpx.Client, stage_5: Up) -> None:
    stage_5.driver.kill(DEAD)
    try:
        answers = sent_to_each_server(api, {})
    finally:
        stage_5.driver.start(DEAD)
    ready(stage_5, DEAD)

    all_tries = [accepted(stage_5, own_id, answer) for own_id, answer in answers]
    assert ["502", "201"] in all_tries


@pytest.mark.parametrize(
    ("hung", "status", "code"), [(0, 503, "SERVER_ERROR_NO_SERVER"), (1, 504, "SERVER_ERROR_OUTCOME_UNKNOWN")]
)
def test_only_where_no_server_can_have_accepted_it_a_request_is_refused(
    api: httpx.Client, stage_5: Up, hung: int, status: int, code: str
) -> None:
    for number, server in enumerate(API_SERVERS):
        (stage_5.driver.pause if number < hung else stage_5.driver.kill)(server)
    try:
        answer = api.post("/api/v1/tasks", json=client.request_body(), headers={"X-Request-ID": f"nobody-{hung}"})
    finally:
        for server in API_SERVERS:
            stage_5.driver.start(server)
    for server in API_SERVERS:
        ready(stage_5, server)

    assert (answer.status_code, answer.json()["status"], answer.json()["code"]) == (status, status, code)
    assert answer.json()["correlation_id"] == answer.headers["X-Request-ID"] == f"nobody-{hung}"
    assert len(answer.headers.get_list("Retry-After")) == 1


def test_a_repeated_key_is_answered_with_the_first_task_by_any_server(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    answers = [answer for _, answer in sent_to_each_server(api, headers)]
    other = api.post("/api/v1/tasks", json={**client.request_body(), "priority": "low"}, headers=headers)

    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert [answer.json().get("from_cache") for answer in answers] == [None, True, True]
    assert (other.status_code, other.json()["code"]) == (422, "CLIENT_ERROR_IDEMPOTENCY_KEY_REUSED")


def test_on_stage_0_nginx_says_its_own_id_in_body_and_header(stage_0: Up) -> None:
    answer = ask(stage_0.stack.port, b"TRACE / HTTP/1.1\r\nHost: x\r\nX-Request-ID: MINE\r\nConnection: close\r\n\r\n")

    assert (answer.status, answer.json["code"]) == (405, "CLIENT_ERROR_METHOD_NOT_ALLOWED")
    assert answer.ids == [answer.json["correlation_id"]] != ["MINE"]
    assert len(answer.json["correlation_id"]) == 32
