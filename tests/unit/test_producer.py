"""Sending a message from the API: a hint with the ledger, all there is without it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from taskqueue import producer

KWARGS = {"correlation_id": "MY-TRACE-123"}


def send() -> Any:
    return producer.celery_app.send_task("tasks.calculate_var", ["a"], kwargs=KWARGS, task_id="t1", queue="high")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def accept(self: Celery, *args: Any, **options: Any) -> str:
        calls.append((args, options))
        return "sent"

    monkeypatch.setattr(Celery, "send_task", accept)
    monkeypatch.setattr(producer.Producer, "own_producer", lambda self: "of this thread")
    return calls


@pytest.mark.parametrize("durable", [True, False])
def test_celery_gets_what_the_queue_service_gave_and_with_the_ledger_a_producer_and_no_queue_to_declare(
    sent: list[Any], monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    monkeypatch.setattr(producer, "settings", SimpleNamespace(durable=durable))
    assert send() == "sent"
    ours = {"producer": "of this thread", "declare": ()} if durable else {}
    assert sent == [(("tasks.calculate_var", ["a"]), {**ours, "kwargs": KWARGS, "task_id": "t1", "queue": "high"})]


@pytest.mark.parametrize("error", [OperationalError("away"), RedisConnectionError("away")])
@pytest.mark.parametrize("durable", [True, False])
def test_a_message_that_is_not_sent_is_logged_where_the_ledger_has_the_task_and_else_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, durable: bool
) -> None:
    def fail(self: Celery, *args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(Celery, "send_task", fail)
    monkeypatch.setattr(producer.Producer, "own_producer", fail)
    monkeypatch.setattr(producer, "settings", SimpleNamespace(durable=durable))
    if not durable:
        with pytest.raises(type(error)):
            send()
        return
    assert send() is None
    [line] = [vars(record) for record in caplog.records]
    assert (line["levelno"], line["task_id"], line["correlation_id"]) == (logging.WARNING, "t1", "MY-TRACE-123")
    assert "away" in line["message"]
