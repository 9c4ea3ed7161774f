"""What the API reads from Redis and writes there."""

from __future__ import annotations

import json

import pytest
from fakeredis import FakeRedis

from taskqueue import broker
from taskqueue.contract import QUEUES, WORKER_KEY, WORKERS
from taskqueue.settings import RESULT_TTL_SECONDS


def message(task_id: str) -> str:
    return json.dumps({"body": "W10=", "headers": {"id": task_id}})


def test_a_task_is_pending_from_the_moment_it_is_remembered_and_forgotten_after_a_week(redis: FakeRedis) -> None:
    assert broker.state_of("t") is None

    broker.remember("t")

    state = broker.state_of("t")
    assert state is not None
    assert (state["task_id"], state["status"], state["result"]) == ("t", "PENDING", None)
    assert 0 < redis.ttl("celery-task-meta-t") <= RESULT_TTL_SECONDS


@pytest.mark.parametrize("queue", QUEUES)
def test_a_waiting_task_is_withdrawn_and_the_others_are_left(redis: FakeRedis, queue: str) -> None:
    redis.rpush(queue, message("before"), message("wanted"), message("after"))

    assert broker.withdraw("wanted")

    assert redis.lrange(queue, 0, -1) == [message("before"), message("after")]
    assert (broker.state_of("wanted") or {})["status"] == "REVOKED"
    assert broker.state_of("before") is None


@pytest.mark.parametrize("foreign", ["", "7", "null", "{}", '{"headers": null}', '{"headers": {}}', "\x00"])
def test_a_message_that_is_not_celerys_is_passed_over(redis: FakeRedis, foreign: str) -> None:
    redis.rpush("high", foreign, message("wanted"))

    assert broker.withdraw("wanted")
    assert redis.lrange("high", 0, -1) == [foreign]


def test_a_task_that_a_worker_fetches_at_this_moment_is_not_withdrawn(
    redis: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.remember("wanted")
    redis.rpush("low", message("wanted"))
    remove = redis.lrem

    def too_late(queue: str, count: int, value: str) -> int:
        redis.rpop(queue)
        return int(remove(queue, count, value))

    monkeypatch.setattr(redis, "lrem", too_late)

    assert not broker.withdraw("wanted")
    assert (broker.state_of("wanted") or {})["status"] == "PENDING"


def test_a_task_on_no_queue_is_not_withdrawn(redis: FakeRedis) -> None:
    redis.rpush("low", message("other"))

    assert not broker.withdraw("wanted")
    assert broker.state_of("wanted") is None


def test_depths_are_counted_per_queue(redis: FakeRedis) -> None:
    redis.rpush("high", "a")
    redis.rpush("low", "b", "c")

    assert broker.depths() == {"high": 1, "medium": 0, "low": 2}


def test_the_alive_workers_are_those_whose_key_is_there(redis: FakeRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broker.alive_workers() == []

    redis.set(f"{WORKER_KEY}{WORKERS[2]}", 1.5)
    redis.set(f"{WORKER_KEY}{WORKERS[0]}", 2.5)

    assert broker.alive_workers() == [WORKERS[0], WORKERS[2]]
