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
    return calls


def test_celery_gets_what_the_queue_service_gave(sent: list[Any]) -> None:
    assert send() == "sent"
    assert sent == [(("tasks.calculate_var", ["a"]), {"kwargs": KWARGS, "task_id": "t1", "queue": "high"})]


@pytest.mark.parametrize("error", [OperationalError("away"), RedisConnectionError("away")])
@pytest.mark.parametrize("durable", [True, False])
def test_a_message_that_is_not_sent_is_logged_where_the_ledger_has_the_task_and_else_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, durable: bool
) -> None:
    def fail(self: Celery, *args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(Celery, "send_task", fail)
    monkeypatch.setattr(producer, "settings", SimpleNamespace(durable=durable))
    if not durable:
        with pytest.raises(type(error)):
            send()
        return
    assert send() is None
    [line] = [vars(record) for record in caplog.records]
    assert (line["levelno"], line["task_id"], line["correlation_id"]) == (logging.WARNING, "t1", "MY-TRACE-123")
    assert "away" in line["message"]
