"""What the API reads from Redis and writes there."""

from __future__ import annotations

import json

import pytest
from fakeredis import FakeRedis

from taskqueue import broker
from taskqueue.contract import WORKER_KEY, WORKERS
from taskqueue.settings import RESULT_TTL_SECONDS


def message(task_id: str) -> str:
    return json.dumps({"body": "W10=", "headers": {"id": task_id}})


def test_a_state_is_kept_for_a_week_and_forgotten_after_a_week(redis: FakeRedis) -> None:
    assert broker.state_of("t") is None

    broker.write_state("t", "PENDING")

    state = broker.state_of("t")
    assert state is not None
    assert (state["task_id"], state["status"], state["result"]) == ("t", "PENDING", None)
    assert 0 < redis.ttl("celery-task-meta-t") <= RESULT_TTL_SECONDS


def test_depths_are_counted_per_queue(redis: FakeRedis) -> None:
    redis.rpush("high", "a")
    redis.rpush("low", "b", "c")

    assert broker.depths() == {"high": 1, "medium": 0, "low": 2}


def test_the_alive_workers_are_those_whose_key_is_there(redis: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker.alive_workers() == []

    redis.set(f"{WORKER_KEY}{WORKERS[2]}", 1.5)
    redis.set(f"{WORKER_KEY}{WORKERS[0]}", 2.5)

    assert broker.alive_workers() == [WORKERS[0], WORKERS[2]]
