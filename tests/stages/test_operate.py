"""A stage in use: restarted without a failed request, its retries, its dead letters."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from up import Up

from clew.cli import cli
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.evidence import dead_letters as letters_of
from clew.stacks import freshness, lifecycle, ready
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.ready import redis_client
from clew.stacks.rolling import rolling_restart
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, WORKERS

RATE = 25  # requests a second; what a busy machine can be asked for
RETRY_SECONDS = 8
OF_A_BUSY_MACHINE = {"SERVER_ERROR_TOO_LATE", "SERVER_ERROR_BROKER_DOWN"}


def rehearsal(**data: Any) -> dict[str, Any]:
    return {"task_type": "rehearsal", "data": data, "priority": "low"}


@pytest.fixture
def api(stage_5: Up) -> Iterator[httpx.Client]:
    ready.wait_ready(stage_5.stack)
    with httpx.Client(base_url=stage_5.stack.url, timeout=10, trust_env=False) as http:
        yield http


def lines_about(up: Up, task_id: str, words: str) -> list[Line]:
    return [line for line in logs.read(up.driver) if line.get("task_id") == task_id and words in line["message"]]


def test_all_tiers_are_restarted_under_load_and_no_request_fails(stage_5: Up, api: httpx.Client) -> None:
    before = stage_5.driver.started()
    ended = threading.Event()
    answers: list[Future[httpx.Response]] = []

    def load() -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(RATE) as pool:
            while not ended.wait(max(0.0, began + len(answers) / RATE - time.monotonic())):
                close = {"Connection": "close"} if len(answers) % 2 else {}
                body = rehearsal(seconds=0.02)
                answers.append(pool.submit(api.post, "/api/v1/tasks", json=body, headers=close))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        steps = rolling_restart(stage_5.stack, stage_5.driver, print)
    finally:
        ended.set()
        thread.join()

    accepted = [answer.result() for answer in answers if answer.result().status_code == 201]
    refused = [answer.result().json()["code"] for answer in answers if answer.result().status_code != 201]
    # Redis is not restarted. A machine that is too busy lets it answer late, restart or not, and the API then says so.
    assert set(refused) <= OF_A_BUSY_MACHINE
    assert len(accepted) > max(RATE, 9 * len(refused))
    for answer in accepted:
        assert client.result(stage_5.stack, answer.json()["task_id"])["status"] == "SUCCESS"
    after = stage_5.driver.started()
    assert {name for name in before if after[name] == before[name]} == {NGINX, REDIS}
    restarted = {step.service for step in steps if step.done == "restarted"}
    assert restarted == {*WORKERS, *API_SERVERS, FLOWER}
    freshness.require_current(stage_5.stack, stage_5.driver)


def holder(up: Up, task_id: str) -> str:
    """Return the worker that has received a task's retry and waits until it is due."""
    found: list[str] = []

    def received() -> bool:
        found[:] = [line["service"] for line in lines_about(up, task_id, "received")]
        return len(found) == 2

    wait_until(received, 15, "the retry to be received", "")
    return found[1]


def test_a_transient_failure_is_retried_when_it_is_due_with_its_id(stage_5: Up, api: httpx.Client) -> None:
    body = rehearsal(fail="transient", failures=1, retry_seconds=2)
    task_id = api.post("/api/v1/tasks", json=body, headers={"X-Request-ID": "RETRY-1"}).json()["task_id"]
    assert client.result(stage_5.stack, task_id)["result"] == {"runs": 2}
    first, second = lines_about(stage_5, task_id, "START")
    assert (first["correlation_id"], second["correlation_id"]) == ("RETRY-1", "RETRY-1")
    assert second["ts"] - first["ts"] >= 2


def test_after_three_retries_a_transient_failure_is_a_failure(stage_5: Up, api: httpx.Client) -> None:
    task_id = api.post("/api/v1/tasks", json=rehearsal(fail="transient", retry_seconds=0.1)).json()["task_id"]
    state = client.result(stage_5.stack, task_id)
    assert (state["status"], "in run 4" in state["error"]) == ("FAILURE", True)
    assert len(lines_about(stage_5, task_id, "START")) == 4


def test_a_permanent_error_is_not_retried(stage_5: Up, api: httpx.Client) -> None:
    task_id = api.post("/api/v1/tasks", json=rehearsal(fail="permanent")).json()["task_id"]
    assert client.result(stage_5.stack, task_id)["status"] == "FAILURE"
    assert len(lines_about(stage_5, task_id, "START")) == 1


def test_a_retry_runs_once_and_not_early_although_the_worker_that_held_it_is_killed(
    stage_5: Up, api: httpx.Client
) -> None:
    body = rehearsal(fail="transient", failures=1, retry_seconds=RETRY_SECONDS)
    task_id = api.post("/api/v1/tasks", json=body).json()["task_id"]
    killed = holder(stage_5, task_id)

    stage_5.driver.kill(killed)

    assert client.result(stage_5.stack, task_id, RETRY_SECONDS + 30)["result"] == {"runs": 2}
    first, second = lines_about(stage_5, task_id, "START")
    assert second["ts"] - first["ts"] >= RETRY_SECONDS
    assert second["service"] != killed
    stage_5.driver.start(killed)


def test_a_retry_is_given_back_by_a_worker_that_stops_gracefully(stage_5: Up, api: httpx.Client) -> None:
    body = rehearsal(fail="transient", failures=1, retry_seconds=RETRY_SECONDS)
    task_id = api.post("/api/v1/tasks", json=body).json()["task_id"]
    stopped = holder(stage_5, task_id)

    stage_5.driver.stop(stopped)

    assert client.result(stage_5.stack, task_id, RETRY_SECONDS + 30)["result"] == {"runs": 2}
    first, second = lines_about(stage_5, task_id, "START")
    assert second["ts"] - first["ts"] >= RETRY_SECONDS
    stage_5.driver.start(stopped)


def test_a_worker_that_stops_finishes_its_tasks(stage_5: Up, api: httpx.Client) -> None:
    ids = [api.post("/api/v1/tasks", json=rehearsal(seconds=3)).json()["task_id"] for _ in range(6)]
    wait_until(lambda: all(lines_about(stage_5, task_id, "START") for task_id in ids), 20, "all tasks to start", "")
    worker = lines_about(stage_5, ids[0], "START")[0]["service"]

    stage_5.driver.stop(worker)

    assert [client.result(stage_5.stack, task_id)["status"] for task_id in ids] == ["SUCCESS"] * 6
    assert [len(lines_about(stage_5, task_id, "START")) for task_id in ids] == [1] * 6
    stage_5.driver.start(worker)


def test_dead_letters_are_listed_sent_again_and_dropped(stage_5: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    ready.wait_ready(stage_5.stack)
    content = f"not JSON {uuid.uuid4().hex}"

    def clew(*arguments: str) -> str:
        return str(CliRunner().invoke(cli, ["dead-letters", "5", *arguments]).output)

    def mine() -> list[dict[str, Any]]:
        return [letter for letter in letters_of.listed(stage_5.stack) if letter["content"] == content]

    with redis_client(stage_5.stack) as redis:
        redis.lpush("low", content)
    wait_until(lambda: len(mine()) == 1, 15, "the dead letter", "")
    (first,) = mine()
    assert "the message is not JSON" in clew()
    assert "1 sent again." in clew("--requeue", first["id"])
    wait_until(lambda: len(mine()) == 1 and mine()[0]["id"] != first["id"], 15, "the dead letter to come back", "")
    assert mine()[0]["id"] in [letter["id"] for letter in json.loads(clew("--json"))]
    assert "1 dropped." in clew("--drop", mine()[0]["id"])
    assert mine() == []


def test_down_does_not_wait_for_a_task(stage_5: Up, api: httpx.Client) -> None:
    """The last test here: a worker has 100 s to stop, and `down` takes its data away in any case."""
    task_id = api.post("/api/v1/tasks", json=rehearsal(seconds=50)).json()["task_id"]
    wait_until(lambda: bool(lines_about(stage_5, task_id, "START")), 15, "the task to start", "")
    began = time.monotonic()

    lifecycle.down(stage_5.stack)

    assert time.monotonic() - began < 45
    assert LocalDriver(stage_5.stack).processes() == []
