"""The gate between Redis and kombu: what passes, what becomes a dead letter, and what the log says of it."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from hostile import TASK_ID, valid
from kombu import Connection

from redis import ConnectionError as RedisConnectionError
from redis import Redis
from taskqueue.contract import DEAD_LETTERS_KEY
from taskqueue.reliability import dead_letters, guard


@pytest.fixture
def guarded(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> guard.GuardedRedis:
    monkeypatch.setattr(guard, "_app", SimpleNamespace(tasks={"taskqueue.rehearsal"}))
    return guard.GuardedRedis(port=redis.connection_pool.connection_kwargs["port"])


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "taskqueue")
    return caplog


def letters() -> list[dict[str, Any]]:
    return dead_letters.all()


def test_a_valid_message_passes_as_it_is(redis: Redis, guarded: guard.GuardedRedis) -> None:
    raw = json.dumps(valid(correlation_id="MY-TRACE-123")).encode()
    redis.lpush("high", raw)
    assert tuple(guarded.brpop(["high"], 1)) == (b"high", raw)
    assert letters() == []


def test_a_queue_that_stays_empty_is_no_message(guarded: guard.GuardedRedis) -> None:
    assert guarded.brpop(["high"], 0.01) is None


def test_answers_to_other_commands_are_not_judged(redis: Redis, guarded: guard.GuardedRedis) -> None:
    redis.set("note", "this is not JSON")
    redis.rpush("list", "this is not JSON", "neither")
    assert (guarded.get("note"), guarded.lpop("list", 2)) == (b"this is not JSON", [b"this is not JSON", b"neither"])


@pytest.mark.parametrize("queue", ["low", "low\x06\x163"])  # kombu's queue for priority 3
def test_a_malformed_message_becomes_a_dead_letter_of_its_queue(
    redis: Redis, guarded: guard.GuardedRedis, lines: pytest.LogCaptureFixture, queue: str
) -> None:
    redis.lpush(queue, "this is not JSON")
    assert guarded.brpop([queue], 1) is None

    [letter] = letters()
    assert (letter["kind"], letter["queue"], letter["content"]) == ("message", "low", "this is not JSON")
    [line] = [vars(record) for record in lines.records]
    assert line["levelno"] == logging.WARNING and letter["reason"] in line["message"]
    assert (line["queue"], line["reason"], line["size"]) == ("low", letter["reason"], 16)
    assert (line["dead_letter"], line["task_id"], line["correlation_id"]) == (letter["id"], None, None)


def test_the_ids_of_a_malformed_message_are_kept_and_logged(
    redis: Redis, guarded: guard.GuardedRedis, lines: pytest.LogCaptureFixture
) -> None:
    made = valid(correlation_id="MY-TRACE-123")
    made["headers"]["task"] = "tasks.nobody_knows"
    redis.lpush("high", json.dumps(made))
    assert guarded.brpop(["high"], 1) is None

    [letter], [line] = letters(), [vars(record) for record in lines.records]
    for found in (letter, line):
        assert (found["task_id"], found["correlation_id"]) == (TASK_ID, "MY-TRACE-123")


def test_before_an_application_is_installed_no_task_is_known(
    redis: Redis, guarded: guard.GuardedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_app", None)
    redis.lpush("high", json.dumps(valid()))
    assert guarded.brpop(["high"], 1) is None and len(letters()) == 1


def test_what_cannot_be_kept_is_in_the_log_with_its_head(
    redis: Redis, guarded: guard.GuardedRedis, lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(dead_letters, "add", away)
    redis.lpush("high", b"\xff" + b"x" * 500)
    assert guarded.brpop(["high"], 1) is None

    [line] = [vars(record) for record in lines.records]
    assert line["head"] == ascii(b"\xff" + b"x" * 199) and line["size"] == 501
    assert "away" in line["message"] and "dead_letter" not in line


def test_malformed_remote_control_is_only_logged(
    redis: Redis, guarded: guard.GuardedRedis, lines: pytest.LogCaptureFixture
) -> None:
    control = guarded.pubsub()
    control.subscribe("one")
    control.psubscribe("pattern*")
    assert [control.get_message(timeout=1)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]

    redis.publish("one", "this is not JSON")
    redis.publish("pattern-1", "nor this!")
    assert [control.get_message(timeout=1) for _ in range(2)] == [None, None]
    assert [vars(record)["size"] for record in lines.records] == [16, 9]
    assert letters() == []
    control.close()


def test_valid_remote_control_passes(
    redis: Redis, guarded: guard.GuardedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = []
    monkeypatch.setattr(guard.wellformed, "check_control", judged.append)
    control = guarded.pubsub()
    control.subscribe("one")
    control.get_message(timeout=1)
    redis.publish("one", "valid")
    assert control.get_message(timeout=1)["data"] == b"valid"
    assert judged == [b"valid"]
    control.close()


@pytest.fixture
def channel(redis: Redis) -> Any:
    url = f"redis://127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/0"
    with Connection(url, transport=guard.GuardedTransport) as connection:
        yield connection.channel()


def unacknowledged(redis: Redis, tag: str, content: str) -> None:
    redis.hset("unacked", tag, content)
    redis.zadd("unacked_index", {tag: 1.0})


def test_the_channel_asks_redis_through_the_gate(channel: Any) -> None:
    assert isinstance(channel.client, guard.GuardedRedis)
    assert isinstance(channel.qos, guard.GuardedQoS)


def test_an_unacknowledged_message_goes_back_to_its_queue(redis: Redis, channel: Any) -> None:
    unacknowledged(redis, "tag", json.dumps([valid(), "", "high"]))
    channel.qos.restore_by_tag("tag")
    assert (redis.llen("high"), redis.hlen("unacked"), redis.zcard("unacked_index")) == (1, 0, 0)
    assert letters() == []


@pytest.mark.parametrize("content", ["this is not JSON", "7", "[1]", "[" * 100_000])
def test_an_unacknowledged_message_that_cannot_be_read_is_put_aside(
    redis: Redis, channel: Any, lines: pytest.LogCaptureFixture, content: str
) -> None:
    unacknowledged(redis, "tag", content)
    unacknowledged(redis, "other", json.dumps([valid(), "", "high"]))
    channel.qos.restore_by_tag("tag")

    [letter] = letters()
    assert (letter["queue"], letter["size"]) == ("unacked", len(content))
    assert "cannot be read" in letter["reason"] and vars(lines.records[0])["queue"] == "unacked"
    assert (redis.hkeys("unacked"), redis.zrange("unacked_index", 0, -1)) == (["other"], ["other"])


def test_a_tag_that_is_gone_is_nothing_to_put_aside(redis: Redis, channel: Any) -> None:
    channel.qos.restore_by_tag("never")
    assert redis.exists(DEAD_LETTERS_KEY) == 0


@pytest.mark.parametrize(("durable", "transport"), [(True, f"{guard.__name__}:GuardedTransport"), (False, None)])
def test_only_the_durable_settings_install_the_gate(
    monkeypatch: pytest.MonkeyPatch, durable: bool, transport: str | None
) -> None:
    monkeypatch.setattr(guard, "settings", SimpleNamespace(durable=durable))
    monkeypatch.setattr(guard, "_app", None)
    app = SimpleNamespace(conf=SimpleNamespace(broker_transport=None))
    guard.install(app)
    assert app.conf.broker_transport == transport
    assert guard._app is (app if durable else None)
