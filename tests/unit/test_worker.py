"""The worker's promises, asked of Celery's own classes as it configures them: no broker, no process."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.app.amqp import AMQP
from celery.worker.request import Request
from fakeredis import FakeRedis
from kombu.utils.scheduling import cycle_by_name
from redis.exceptions import ConnectionError as RedisConnectionError

from clew.core.paths import STACK
from taskqueue import logs
from taskqueue.contract import HOLD_KEY, QUEUES

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(logs, "configure", lambda: None)  # pytest has its own handlers on the root logger
    from taskqueue import worker


@worker.app.task(name="tests.nothing", shared=False)
def nothing() -> None: ...


@pytest.fixture
def received() -> Request:
    """One task's message as a worker receives it, with what acknowledges and rejects it being mocks."""
    headers, _, body, _ = AMQP(worker.app).as_task_v2("a-task-id", nothing.name)
    message = SimpleNamespace(
        headers=headers, payload=body, body=body, properties={}, delivery_info={}, content_type="", content_encoding=""
    )
    return Request(message, app=worker.app, on_ack=Mock(), on_reject=Mock(), decoded=True)


def test_a_task_is_acknowledged_when_it_is_done_not_when_it_starts(received: Request) -> None:
    received.on_accepted(os.getpid(), 0.0)
    assert not received.acknowledged

    received.on_success((False, None, 0.0))
    assert received.acknowledged


def test_a_task_whose_process_was_killed_goes_back_to_its_queue(
    received: Request,
) -> None:
    try:
        raise WorkerLostError("killed")
    except WorkerLostError:
        received.on_failure(ExceptionInfo())

    received._on_reject.assert_called_once()
    assert received._on_reject.call_args.args[2] is True  # requeue


def test_a_result_is_stored_again_when_redis_was_away_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = worker.app.backend
    answers: list[Any] = [RedisConnectionError("away"), RedisConnectionError("away"), None]
    stored = Mock(side_effect=answers)
    monkeypatch.setattr(backend, "_store_result", stored)
    monkeypatch.setattr(backend, "_sleep", lambda seconds: None)

    backend.store_result("a-task-id", {}, "SUCCESS")

    assert stored.call_count == 3


def test_high_goes_before_medium_before_low_also_after_one_was_taken() -> None:
    assert [queue.name for queue in worker.app.conf.task_queues] == ["high", "medium", "low"]
    order = cycle_by_name(worker.app.conf.broker_transport_options["queue_order_strategy"])([*QUEUES])
    assert order.consume(3) == ["high", "medium", "low"]
    order.rotate("high")
    assert order.consume(3) == ["high", "medium", "low"]
    assert f'-Q, "{",".join(QUEUES)}"' in (STACK / "compose.yaml").read_text()


class Consumer:
    """The part of Celery's consumer that the heart asks, with the queues that it takes messages from."""

    def __init__(self, *queues: str) -> None:
        self.queues = list(queues)
        self.timer = Mock()

    @property
    def task_consumer(self) -> SimpleNamespace:
        return SimpleNamespace(queues=[SimpleNamespace(name=queue) for queue in self.queues])

    def cancel_task_queue(self, queue: str) -> None:
        self.queues.remove(queue)

    def add_task_queue(self, queue: str) -> None:
        self.queues.append(queue)


@pytest.fixture
def heart(redis: FakeRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> worker.Heartbeat:
    monkeypatch.setattr(worker, "READY_FILE", tmp_path / "ready")
    heart = worker.Heartbeat(SimpleNamespace())
    heart.started = 1.0
    return heart


def test_a_worker_is_alive_since_it_began_to_consume_and_until_it_stops(
    heart: worker.Heartbeat, redis: FakeRedis
) -> None:
    consumer = Consumer(*QUEUES)
    heart.start(consumer)

    assert float(str(redis.get(worker.WORKER_ALIVE))) == pytest.approx(heart.started)
    assert 0 < redis.ttl(worker.WORKER_ALIVE) <= worker.HEARTBEAT_EXPIRES_SECONDS
    assert worker.READY_FILE.exists()
    consumer.timer.call_repeatedly.assert_called_once_with(worker.HEARTBEAT_SECONDS, heart.beat, (consumer,))

    heart.stop(consumer)

    assert redis.get(worker.WORKER_ALIVE) is None
    assert not worker.READY_FILE.exists()
    consumer.timer.call_repeatedly.return_value.cancel.assert_called_once_with()


def test_a_worker_that_is_held_consumes_nothing_and_is_not_alive(heart: worker.Heartbeat, redis: FakeRedis) -> None:
    consumer = Consumer(*QUEUES)
    heart.beat(consumer)
    redis.set(HOLD_KEY, "1")
    heart.beat(consumer)

    assert consumer.queues == []
    assert redis.get(worker.WORKER_ALIVE) is None

    redis.delete(HOLD_KEY)
    heart.beat(consumer)

    assert sorted(consumer.queues) == sorted(QUEUES)
    assert redis.get(worker.WORKER_ALIVE) is not None


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_that_lost_a_queue_takes_it_again_before_it_says_that_it_is_alive(
    heart: worker.Heartbeat, redis: FakeRedis, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Consumer(*(set(QUEUES) - {queue}))
    when: list[list[str]] = []
    alive = redis.set
    monkeypatch.setattr(redis, "set", lambda *a, **k: when.append(sorted(consumer.queues)) or alive(*a, **k))

    heart.beat(consumer)

    assert when == [sorted(QUEUES)]


def test_without_redis_the_ready_file_is_not_touched_and_the_worker_lives_on(
    heart: worker.Heartbeat, redis: FakeRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis, "set", Mock(side_effect=RedisConnectionError("away")))

    heart.beat(Consumer(*QUEUES))

    assert not worker.READY_FILE.exists()
    assert "No heartbeat" in caplog.text


def test_the_ledger_is_looked_at_while_the_worker_consumes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks: list[object] = []

    class Reconciler:
        def __init__(self, app: object) -> None:
            assert app is worker.app

        def look(self) -> None:
            looks.append(self)
            if len(looks) == 2:
                raise RedisConnectionError("away")

    monkeypatch.setattr(worker, "Reconciler", Reconciler)
    consumer = SimpleNamespace(timer=Mock())
    step = worker.Ledger(consumer)
    step.stop(consumer)  # before it was started: nothing to cancel

    step.start(consumer)
    ((seconds, look), _) = consumer.timer.call_repeatedly.call_args
    assert seconds == worker.LOOK_SECONDS
    look()
    look()
    look()
    assert len(looks) == 3
    assert [record.levelname for record in caplog.records if "away" in record.message] == ["WARNING"]

    step.stop(consumer)
    consumer.timer.call_repeatedly.return_value.cancel.assert_called_once_with()


@pytest.mark.parametrize("durable", [True, False])
def test_a_lease_is_kept_where_claims_need_one(monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    keep = Mock()
    monkeypatch.setattr(worker.lease, "keep", keep)
    monkeypatch.setattr(worker, "settings", SimpleNamespace(durable=durable))
    worker.keep_lease(sender="celery@worker", instance=None)
    assert keep.call_count == durable
