"""Looking at a message on the queue: the hold that keeps workers from consuming, and where in a message the ID is."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakeredis
import pytest
from redis.exceptions import TimeoutError

from clew.core.errors import ClewError
from clew.evidence import client, message
from clew.stacks import ready
from clew.stacks.services import REDIS, WORKERS
from clew.stacks.stack import Stack, ports_of
from taskqueue.contract import HOLD_KEY, QUEUES, WORKER_KEY


def envelope(kwargs: dict[str, Any], task_id: str = "task-1") -> bytes:
    body = base64.b64encode(json.dumps([[], kwargs, {"chain": None}]).encode()).decode()
    properties = {"correlation_id": task_id, "delivery_info": {"routing_key": "high"}}
    return json.dumps({"body": body, "headers": {"id": task_id, "lang": "py"}, "properties": properties}).encode()


BROKEN = [
    b"",
    b"\xff\xfe",
    b"not JSON",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"body": null, "headers": {}, "properties": {}}',
    b'{"body": "%%%", "headers": {}, "properties": {}}',
    b'{"body": "W10=", "headers": {"id": "task-1"}, "properties": {}}',  # []
    b'{"body": "W1tdLHt9LHt9XQ==", "properties": {}}',  # [[],{},{}] without headers
    b'{"body": "W1tdLHt9LHt9XQ==", "headers": null, "properties": {}}',
]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"kwargs": {"data": {}, "correlation_id": "MINE"}}, "kwargs.correlation_id"),
        ({"args": ["x", {"deep": ["MINE"]}]}, "args.1.deep.0"),
        ({"kwargs": {"correlation_id": "MINE-2", "MINE": "a key is not a place"}}, None),
        ({"kwargs": {"n": 7, "none": None}}, None),
        ("MINE", ""),
    ],
)
def test_the_place_of_an_id_is_its_path(value: Any, path: str | None) -> None:
    assert message.place_of(value, "MINE") == path


def test_a_message_is_decoded() -> None:
    found = message.decode(envelope({"correlation_id": "MINE"}))

    assert found is not None
    assert found["kwargs"] == {"correlation_id": "MINE"}
    assert found["args"] == []
    assert found["embed"] == {"chain": None}
    assert found["headers"]["id"] == "task-1"


@pytest.mark.parametrize("raw", BROKEN)
def test_what_is_not_a_celery_message_is_passed_over(raw: bytes) -> None:
    assert message.decode(raw) is None


class Frozen:
    """A Redis that takes commands and answers none."""

    def __enter__(self) -> Frozen:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        def no_answer(*_: Any, **__: Any) -> None:
            raise TimeoutError("Timeout reading from socket")

        return no_answer


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr("clew.stacks.stack.STATE", tmp_path)
    return Stack("stage", "stage-9", tmp_path, ports_of("stage", 3), 3)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> fakeredis.FakeServer:
    """A Redis in which three workers have their key; none is blocked in a BRPOP."""
    server = fakeredis.FakeServer()

    def connect(stack: Stack, text: bool) -> fakeredis.FakeRedis:
        assert stack.ports[REDIS]
        return fakeredis.FakeRedis(server=server, decode_responses=text)

    monkeypatch.setattr(message, "redis_client", connect)
    monkeypatch.setattr(message, "_brpop_outstanding", lambda client: False)
    monkeypatch.setattr(message, "driver_of", lambda stack: None)
    monkeypatch.setattr(message.freshness, "require_current", lambda stack, driver: None)
    redis = fakeredis.FakeRedis(server=server)
    for worker in WORKERS:
        redis.set(f"{WORKER_KEY}{worker}", 1.0)
    return server


@pytest.fixture
def workers(server: fakeredis.FakeServer) -> Iterator[None]:
    """Three workers that obey a hold."""
    ended = threading.Event()

    def work() -> None:
        redis = fakeredis.FakeRedis(server=server)
        while not ended.wait(0.01):
            for worker in WORKERS:
                key = f"{WORKER_KEY}{worker}"
                redis.delete(key) if redis.exists(HOLD_KEY) else redis.set(key, 1.0)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.usefixtures("workers")
def test_the_hold_is_kept_up_and_then_ended(
    stack: Stack, server: fakeredis.FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message, "REFRESH_SECONDS", 0.01)
    redis = fakeredis.FakeRedis(server=server)

    with message.nobody_consuming(stack):
        assert not redis.keys(f"{WORKER_KEY}*")
        first = redis.pttl(HOLD_KEY)
        assert 0 < first <= message.HOLD_SECONDS * 1000  # it expires, should this process be killed
        redis.pexpire(HOLD_KEY, 500)
        deadline = time.monotonic() + 10
        while redis.pttl(HOLD_KEY) <= 500:
            assert time.monotonic() < deadline, "nobody refreshes the hold"

    assert not redis.exists(HOLD_KEY)
    assert len(redis.keys(f"{WORKER_KEY}*")) == len(WORKERS)


@pytest.mark.usefixtures("workers")
def test_an_error_ends_the_hold_too(stack: Stack, server: fakeredis.FakeServer) -> None:
    with pytest.raises(ZeroDivisionError), message.nobody_consuming(stack):
        raise ZeroDivisionError

    assert not fakeredis.FakeRedis(server=server).exists(HOLD_KEY)


def test_workers_that_do_not_stop_are_an_error_and_not_held_on(
    stack: Stack, server: fakeredis.FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message, "STOP_SECONDS", 0.1)

    with pytest.raises(ClewError, match="the workers to stop consuming"), message.nobody_consuming(stack):
        pytest.fail("they still consume")

    assert not fakeredis.FakeRedis(server=server).exists(HOLD_KEY)


def test_a_frozen_redis_is_an_error_with_the_next_step(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "redis_client", lambda stack, text: Frozen())
    monkeypatch.setattr(message, "driver_of", lambda stack: None)
    monkeypatch.setattr(message.freshness, "require_current", lambda stack, driver: None)

    with pytest.raises(ClewError, match="Redis does not answer: Timeout reading from socket") as failed:
        message.message(stack)

    assert failed.value.next_step.startswith("make stage-3 up")


@pytest.mark.usefixtures("workers")
def test_the_message_is_found_among_foreign_ones(
    stack: Stack, server: fakeredis.FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = fakeredis.FakeRedis(server=server)
    for queue in QUEUES:
        redis.rpush(queue, *BROKEN[1:], envelope({"correlation_id": "MINE"}, "task-0"))

    checked, sent = [], []
    monkeypatch.setattr(message, "driver_of", lambda stack: ("driver of", stack))
    monkeypatch.setattr(message.freshness, "require_current", lambda *what: checked.append(what))

    def send(*what: object) -> client.Answer:
        sent.append(what)
        redis.rpush("medium", envelope({"data": {}, "correlation_id": "MINE"}))
        return client.Answer("MINE", 1000.0, 20.0, 201, "MINE", {"task_id": "task-1"})

    monkeypatch.setattr(client, "send_task", send)

    found = message.message(stack, "MINE", {"a": 1})

    assert checked == [(stack, ("driver of", stack))]
    assert sent == [(stack, "MINE", {"a": 1})]
    assert found == {
        "sent_id": "MINE",
        "task_id": "task-1",
        "queue": "medium",
        "properties": {"correlation_id": "task-1", "delivery_info": {"routing_key": "high"}},
        "headers": {"id": "task-1", "lang": "py"},
        "args": [],
        "kwargs": {"data": {}, "correlation_id": "MINE"},
        "embed": {"chain": None},
        "id_at": "kwargs.correlation_id",
    }


@pytest.mark.usefixtures("workers", "server")
def test_a_message_that_does_not_turn_up_is_an_error(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = client.Answer("MINE", 1000.0, 20.0, 201, "MINE", {"task_id": "task-1"})
    monkeypatch.setattr(client, "send_task", lambda *_: answer)

    with pytest.raises(ClewError) as failed:
        message.message(stack, "MINE")

    assert failed.value.message == "The message of task task-1 is not on any queue."
    assert failed.value.next_step == stack.command("status")


def test_a_client_gives_up_soon_and_answers_with_text_or_bytes(stack: Stack) -> None:
    for text in (True, False):
        settings = ready.redis_client(stack, text).connection_pool.connection_kwargs
        assert settings["port"] == stack.ports[REDIS]
        assert settings["decode_responses"] is text
        assert 0 < settings["socket_connect_timeout"] <= settings["socket_timeout"] < message.HOLD_SECONDS


@pytest.mark.parametrize(("flags", "outstanding"), [(["N"], False), (["N", "xb"], True), ([], False)])
def test_a_worker_that_is_blocked_in_redis_still_takes_the_next_message(flags: list[str], outstanding: bool) -> None:
    connected = SimpleNamespace(client_list=lambda: [{"flags": one} for one in flags])

    assert message._brpop_outstanding(connected) is outstanding  # type: ignore[arg-type]


class Consumer:
    """A Celery consumer of which only the queues are asked."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.task_consumer = self

    @property
    def queues(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.names]

    def cancel_task_queue(self, queue: str) -> None:
        self.names.remove(queue)

    def add_task_queue(self, queue: str) -> None:
        self.names.append(queue)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: fakeredis.FakeServer) -> Any:
    """The worker's module with a Redis of its own; importing it takes over logging, which is undone."""
    import logging

    root = logging.getLogger()
    before = root.handlers[:], root.level
    from taskqueue import worker

    root.handlers[:], _ = before
    root.setLevel(before[1])
    logging.captureWarnings(False)
    monkeypatch.setattr(worker.broker, "client", fakeredis.FakeRedis(server=server, decode_responses=True))
    monkeypatch.setattr(worker, "READY_FILE", tmp_path / "ready")
    return worker


def heartbeat(worker: Any) -> Any:
    beat = worker.Heartbeat(SimpleNamespace())
    beat.started = 5.0
    return beat


def test_a_worker_consumes_nothing_while_the_hold_lasts(worker: Any, server: fakeredis.FakeServer) -> None:
    redis = fakeredis.FakeRedis(server=server)
    consumer = Consumer(*QUEUES)
    step = heartbeat(worker)

    step.beat(consumer)
    assert consumer.names == list(QUEUES)
    assert redis.get(worker.WORKER_ALIVE) == b"5.0"

    redis.set(HOLD_KEY, "")
    step.beat(consumer)
    step.beat(consumer)
    assert consumer.names == []
    assert not redis.exists(worker.WORKER_ALIVE)
    assert worker.READY_FILE.exists()  # the container is healthy all the same

    redis.delete(HOLD_KEY)
    step.beat(consumer)
    assert consumer.names == list(QUEUES)
    assert redis.get(worker.WORKER_ALIVE) == b"5.0"


def test_a_worker_that_was_told_to_stop_in_another_way_consumes_again(worker: Any) -> None:
    consumer = Consumer("low")

    heartbeat(worker).beat(consumer)

    assert sorted(consumer.names) == sorted(QUEUES)


def test_a_hold_expires_from_its_first_moment(server: fakeredis.FakeServer) -> None:
    redis = fakeredis.FakeRedis(server=server)

    with message._held(redis):
        assert 0 < redis.pttl(HOLD_KEY) <= message.HOLD_SECONDS * 1000
