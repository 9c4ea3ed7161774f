"""What is sent again, and what is not, look by look, on a real Redis."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from redis import Redis
from taskqueue import broker
from taskqueue.contract import LEASE_KEY
from taskqueue.reliability import keys, lease, ledger, reconciler
from taskqueue.reliability.reconciler import MISSING_LOOKS, Reconciler

TASK = "tasks.calculate_var"
OTHER = "celery-worker-9/boot"


class App:
    """Keeps what is sent; puts it on its queue as a message does, unless it is told to fail."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.sent: list[tuple[str, int]] = []
        self.fails = False

    def send_task(self, name: str, *, kwargs: dict[str, Any], task_id: str, queue: str, retries: int) -> None:
        if self.fails:
            raise OperationalError("away")
        self.sent.append((task_id, retries))
        self.redis.lpush(queue, json.dumps({"headers": {"id": task_id}}))


@pytest.fixture
def app(redis: Redis) -> App:
    return App(redis)


@pytest.fixture
def active(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    found: set[Any] = set()
    monkeypatch.setattr(reconciler, "worker_state", SimpleNamespace(active_requests=found))
    return found


@pytest.fixture
def worker(redis: Redis, app: App, active: set[Any], monkeypatch: pytest.MonkeyPatch) -> Reconciler:
    monkeypatch.setattr(Reconciler, "uptime", lambda self: 3600)
    made = Reconciler(app)  # type: ignore[arg-type]
    made.client.close()
    made.client = redis
    redis.set(lease.KEY, lease.OWNER)
    return made


def accepted_long_ago(redis: Redis, *task_ids: str, message: bool = False) -> None:
    for task_id in task_ids:
        ledger.accept(task_id, TASK, {"correlation_id": f"id of {task_id}"}, "high")
        redis.zadd(keys.ACCEPTED, {task_id: 0})
        if message:
            redis.lpush("high", json.dumps({"headers": {"id": task_id}}))


def look(worker: Reconciler, times: int) -> None:
    for _ in range(times):
        worker.look()


def test_a_task_without_a_message_is_sent_again_after_three_looks(
    redis: Redis, worker: Reconciler, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    accepted_long_ago(redis, "with", message=True)
    accepted_long_ago(redis, "without")

    look(worker, MISSING_LOOKS - 1)
    assert app.sent == []
    look(worker, 1)
    assert app.sent == [("without", 0)]
    look(worker, 2 * MISSING_LOOKS)
    assert app.sent == [("without", 0)]
    [line] = [record for record in caplog.records if record.message.startswith("Sent again")]
    assert (line.task_id, line.correlation_id) == ("without", "id of without")


def test_a_young_task_s_message_may_be_on_its_way(redis: Redis, worker: Reconciler, app: App) -> None:
    ledger.accept("young", TASK, {}, "high")
    look(worker, 2 * MISSING_LOOKS)
    assert app.sent == []


def test_a_message_that_a_dead_worker_has_taken_is_removed_and_sent_again(
    redis: Redis, worker: Reconciler, app: App
) -> None:
    accepted_long_ago(redis, "t")
    redis.hset("unacked", "tag", json.dumps([{"headers": {"id": "t"}}, "high", "high"]))
    redis.zadd("unacked_index", {"tag": 1})

    look(worker, MISSING_LOOKS)

    assert app.sent == [("t", 0)]
    assert redis.exists("unacked", "unacked_index") == 0


@pytest.mark.parametrize(("successor", "looks"), [("celery-worker-9/new boot", 1), (None, 2)])
def test_a_dead_worker_s_claim_goes_to_another(
    redis: Redis, worker: Reconciler, app: App, successor: str | None, looks: int
) -> None:
    accepted_long_ago(redis, "t")
    ledger.claim("t", OTHER)
    if successor:
        redis.set(f"{LEASE_KEY}celery-worker-9", successor)

    look(worker, looks - 1)
    assert app.sent == []
    look(worker, 1)
    assert app.sent == [("t", 0)]
    assert redis.hlen(keys.RUNNING) == 0


def test_a_living_worker_s_claim_is_left(redis: Redis, worker: Reconciler, app: App) -> None:
    accepted_long_ago(redis, "t")
    redis.set(f"{LEASE_KEY}celery-worker-9", OTHER)
    ledger.claim("t", OTHER)

    look(worker, 15)

    assert app.sent == []
    assert redis.hget(keys.RUNNING, "t") == OTHER


def test_a_worker_lets_go_of_what_it_does_not_run(redis: Redis, worker: Reconciler, app: App, active: set[Any]) -> None:
    accepted_long_ago(redis, "runs", "lost")
    ledger.claim("runs", lease.OWNER)
    ledger.claim("lost", lease.OWNER)
    active.add(_Request("runs"))

    look(worker, reconciler.DISOWN_LOOKS)

    assert list(redis.hgetall(keys.RUNNING)) == ["runs"]
    look(worker, MISSING_LOOKS)
    assert app.sent == [("lost", 0)]


class _Request:
    def __init__(self, task_id: str) -> None:
        self.id = task_id


def test_a_retry_is_left_until_it_is_overdue_and_keeps_its_number(redis: Redis, worker: Reconciler, app: App) -> None:
    accepted_long_ago(redis, "t")
    ledger.claim("t", lease.OWNER)
    ledger.release("t", lease.OWNER, wait_seconds=60, retries=2)
    look(worker, 15)
    assert app.sent == []

    redis.hset(keys.DUE, "t", "1000/2")
    look(worker, MISSING_LOOKS)
    assert app.sent == [("t", 2)]


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_a_task_that_has_its_final_state_is_finished_instead(
    redis: Redis, worker: Reconciler, app: App, state: str
) -> None:
    accepted_long_ago(redis, "t")
    ledger.claim("t", OTHER)
    broker.write_state("t", state)

    look(worker, MISSING_LOOKS)

    assert app.sent == []
    assert redis.exists(keys.TASKS, keys.RUNNING, keys.ACCEPTED) == 0


def test_messages_of_others_do_not_hide_for_ever_that_one_is_missing(
    redis: Redis, worker: Reconciler, app: App
) -> None:
    redis.lpush("low", *[json.dumps({"headers": {"id": f"cancelled {number}"}}) for number in range(5)])
    accepted_long_ago(redis, "t")

    look(worker, reconciler.FULL_LOOK_EVERY + MISSING_LOOKS)

    assert app.sent == [("t", 0)]


def test_one_worker_has_the_lead(redis: Redis, worker: Reconciler, app: App) -> None:
    accepted_long_ago(redis, "t")
    redis.set(keys.LEADER, OTHER)
    look(worker, 2 * MISSING_LOOKS)
    assert app.sent == []

    redis.delete(keys.LEADER)  # as it expires when that worker is dead
    look(worker, MISSING_LOOKS)
    assert app.sent == [("t", 0)]
    assert 0 < redis.pttl(keys.LEADER) <= reconciler.LEAD_SECONDS * 1000


def test_nothing_is_sent_right_after_a_restart_of_redis(
    redis: Redis, worker: Reconciler, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted_long_ago(redis, "t")
    monkeypatch.setattr(worker, "uptime", lambda: 1)
    look(worker, 10)
    assert app.sent == []
    monkeypatch.setattr(worker, "uptime", lambda: lease.LEASE_SECONDS)
    look(worker, 1)
    assert app.sent == [("t", 0)]


def test_looks_before_a_gap_do_not_count(
    redis: Redis, worker: Reconciler, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(reconciler, "time", SimpleNamespace(monotonic=lambda: now))
    accepted_long_ago(redis, "t")
    look(worker, MISSING_LOOKS - 1)
    now += 10
    look(worker, MISSING_LOOKS - 1)
    assert app.sent == []
    look(worker, 1)
    assert app.sent == [("t", 0)]


def test_a_broker_that_is_away_is_asked_again(
    redis: Redis, worker: Reconciler, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    accepted_long_ago(redis, "t")
    app.fails = True
    look(worker, MISSING_LOOKS)
    assert "Not sent again yet" in caplog.text
    app.fails = False
    look(worker, MISSING_LOOKS)
    assert app.sent == [("t", 0)]
