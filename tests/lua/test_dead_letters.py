"""Dead letters, in a real Redis."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import pytest

from redis import Redis
from taskqueue import broker, producer
from taskqueue.contract import DEAD_LETTERS_KEY
from taskqueue.reliability import breaker, dead_letters, keys

ENTRY = ["taskqueue.rehearsal", {"seconds": 0, "correlation_id": "c"}, "low"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was sent to the workers, in place of sending it."""
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(producer.celery_app, "send_task", lambda name, **rest: messages.append({"name": name, **rest}))
    return messages


def add_task() -> str:
    return dead_letters.add("too many runs", queue="low", content=ENTRY, task_id="t", correlation_id="c")


def test_a_message_is_kept_with_its_reason_and_goes_back_as_it_was(redis: Redis) -> None:
    content = b"\xffnot JSON\0"
    letter_id = dead_letters.add("not JSON", queue="high", content=content)
    (letter,) = dead_letters.all()
    assert letter["id"] == letter_id
    assert (letter["kind"], letter["reason"], letter["queue"], letter["size"]) == ("message", "not JSON", "high", 10)
    assert letter["content"] == "\\xffnot JSON\0"
    assert letter["complete"]

    assert dead_letters.requeue(letter_id) == letter

    kwargs = redis.connection_pool.connection_kwargs
    with Redis(port=kwargs["port"]) as undecoded:
        assert undecoded.lrange("high", 0, -1) == [content]
    assert dead_letters.all() == []
    assert redis.exists(dead_letters.MESSAGES) == 0


def test_of_a_long_message_the_head_is_kept_and_it_cannot_be_sent_again(redis: Redis) -> None:
    content = b"x" * (dead_letters.MAX_CONTENT_BYTES + 1)
    letter_id = dead_letters.add("too long", queue="low", content=content)
    (letter,) = dead_letters.all()
    assert (letter["size"], letter["complete"]) == (len(content), False)
    assert len(letter["content"]) == dead_letters.SHOWN_CHARACTERS
    assert len(str(redis.hget(DEAD_LETTERS_KEY, letter_id))) < 1.5 * dead_letters.MAX_CONTENT_BYTES
    with pytest.raises(ValueError, match="Only the first 64 KiB"):
        dead_letters.requeue(letter_id)
    assert len(dead_letters.all()) == 1


def test_a_message_that_was_on_no_queue_cannot_be_sent_again(redis: Redis) -> None:
    letter_id = dead_letters.add("cannot be read", queue="unacked", content=b"7")
    with pytest.raises(ValueError, match="not on a queue but in unacked"):
        dead_letters.requeue(letter_id)


def test_the_oldest_messages_go_when_there_are_too_many_and_tasks_stay(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dead_letters, "MAX_MESSAGES", 3)
    clock = iter(range(100))
    monkeypatch.setattr(dead_letters.time, "time", lambda: next(clock))
    add_task()
    first, *rest = [dead_letters.add(str(n), queue="low", content=b"7") for n in range(4)]
    assert [letter["id"] for letter in dead_letters.all()] == ["t", *rest]
    assert first in [getattr(record, "dead_letter", None) for record in caplog.records]


def test_a_task_is_kept_once_however_often_it_is_added(redis: Redis) -> None:
    assert add_task() == add_task() == "t"
    (letter,) = dead_letters.all()
    assert (letter["kind"], letter["correlation_id"], letter["complete"]) == ("task", "c", True)
    assert json.loads(letter["content"]) == ENTRY


def test_a_task_goes_back_into_the_ledger_as_if_just_accepted(
    redis: Redis, sent: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    add_task()
    redis.hset(keys.ATTEMPTS, "t", 5)
    redis.hset(keys.DUE, "t", "1/1")
    broker.write_state("t", "FAILURE")

    with caplog.at_level(logging.WARNING):
        dead_letters.requeue("t")

    assert json.loads(str(redis.hget(keys.TASKS, "t"))) == ENTRY
    assert redis.zscore(keys.ACCEPTED, "t") is not None
    assert (redis.hexists(keys.ATTEMPTS, "t"), redis.hexists(keys.DUE, "t")) == (False, False)
    assert (broker.state_of("t") or {})["status"] == "PENDING"
    assert redis.ttl(broker.state_key("t")) > 0
    assert dead_letters.all() == []
    assert sent == [{"name": ENTRY[0], "kwargs": ENTRY[1], "task_id": "t", "queue": "low"}]
    assert caplog.records[-1].__dict__["correlation_id"] == "c"


def test_a_task_that_its_worker_has_not_yet_given_up_stays_a_dead_letter(
    redis: Redis, sent: list[dict[str, Any]]
) -> None:
    add_task()
    redis.hset(keys.TASKS, "t", json.dumps(ENTRY))
    with pytest.raises(ValueError, match="still in the ledger"):
        dead_letters.requeue("t")
    assert len(dead_letters.all()) == 1
    assert sent == []


def test_a_task_stays_a_dead_letter_while_the_queue_is_full(redis: Redis, sent: list[dict[str, Any]]) -> None:
    add_task()
    redis.hset(keys.TASKS, mapping={str(n): "x" for n in range(breaker.WAITING_LIMIT)})
    with pytest.raises(ValueError, match="500 tasks are waiting"):
        dead_letters.requeue("t")
    redis.hset(keys.RUNNING, "0", "w/1")
    dead_letters.requeue("t")
    assert [message["task_id"] for message in sent] == ["t"]


def test_a_dropped_dead_letter_is_gone(redis: Redis) -> None:
    add_task()
    letter_id = dead_letters.add("not JSON", queue="low", content=b"7")
    assert dead_letters.drop(letter_id)["id"] == letter_id
    assert dead_letters.drop("t")["id"] == "t"
    assert dead_letters.all() == []
    assert redis.exists(dead_letters.MESSAGES) == 0


@pytest.mark.parametrize("verb", [dead_letters.requeue, dead_letters.drop])
def test_an_unknown_dead_letter_is_a_key_error(redis: Redis, verb: Any) -> None:
    with pytest.raises(KeyError):
        verb("nothing")


FIELDS = {"id", "kind", "at", "reason", "queue", "task_id", "correlation_id", "content", "size", "sha256", "complete"}


def test_a_letter_tells_all_that_is_known(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters.time, "time", lambda: 1234.5678)
    content = b"this is not JSON"
    message_id = dead_letters.add("not JSON", queue="low", content=content, task_id="m", correlation_id="c1")
    add_task()
    message, task = sorted(dead_letters.all(), key=lambda letter: str(letter["kind"]))
    assert set(message) == set(task) == FIELDS
    assert len(message_id) == 32 and message["id"] == message_id
    assert (message["at"], message["task_id"], message["correlation_id"]) == (1234.568, "m", "c1")
    assert message["sha256"] == hashlib.sha256(content).hexdigest()
    assert (task["reason"], task["queue"], task["task_id"]) == ("too many runs", "low", "t")
    assert (task["size"], task["sha256"]) == (len(json.dumps(ENTRY)), None)


@pytest.mark.parametrize("verb", [dead_letters.requeue, dead_letters.drop])
def test_what_a_person_does_with_a_letter_is_logged(
    redis: Redis, sent: list[dict[str, Any]], caplog: pytest.LogCaptureFixture, verb: Any
) -> None:
    add_task()
    verb("t")
    [line] = [vars(record) for record in caplog.records]
    assert (line["levelno"], line["dead_letter"], line["task_id"]) == (logging.WARNING, "t", "t")
    assert line["message"].startswith("Dead letter ")


def test_a_requeued_task_is_pending_under_its_own_id(redis: Redis, sent: list[dict[str, Any]]) -> None:
    add_task()
    dead_letters.requeue("t")
    assert broker.state_of("t") == {
        "task_id": "t", "status": "PENDING", "result": None, "traceback": None, "children": []
    }  # fmt: skip


@pytest.mark.parametrize("verb", [dead_letters.requeue, dead_letters.drop])
def test_a_letter_that_another_has_taken_meanwhile_is_a_key_error(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, verb: Any
) -> None:
    taken = {"kind": "message", "content": "Nw==", "queue": "low", "complete": True}
    taken |= {"task_id": None, "correlation_id": None}
    for letter in (taken, {**taken, "kind": "task", "content": ENTRY}):
        monkeypatch.setattr(
            dead_letters, "_letter", lambda letter_id, letter=letter: {**letter, "correlation_id": None}
        )
        with pytest.raises(KeyError, match="gone"):
            verb("gone")
