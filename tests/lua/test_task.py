"""A task through claim, run and finish, in this process, on a real Redis; and what is in doubt after an outage."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Retry

from redis import ConnectionError as RedisConnectionError
from redis import Redis

with pytest.MonkeyPatch.context() as patch:
    from taskqueue import logs

    patch.setattr(logs, "configure", lambda: None)  # pytest has its own handlers on the root logger

from taskqueue import broker, rehearsal
from taskqueue.contract import DEAD_LETTERS_KEY
from taskqueue.reliability import breaker, doubts, effects, intake, keys, lease, ledger
from taskqueue.reliability.refusals import Refused

TASK = "taskqueue.rehearsal"


def run(task_id: str, **kwargs: Any) -> str:
    return str(rehearsal.rehearsal.apply(kwargs=kwargs, task_id=task_id).state)


def accept(task_id: str, **kwargs: Any) -> None:
    ledger.accept(task_id, TASK, kwargs, "high")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def test_a_task_runs_once_whatever_the_number_of_its_messages(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    accept("t", correlation_id="MY-TRACE-123")

    assert [run("t", correlation_id="MY-TRACE-123"), run("t", correlation_id="MY-TRACE-123")] == ["SUCCESS", "IGNORED"]

    assert messages(caplog).count("Rehearsal START") == 1
    assert messages(caplog).count("Booking applied") == 1
    assert redis.hlen(keys.TASKS) == 0


def test_a_permanent_failure_is_final(redis: Redis) -> None:
    accept("t", fail="permanent")
    assert run("t", fail="permanent") == "FAILURE"
    assert redis.hlen(keys.TASKS) == 0


def test_a_task_that_ended_four_runs_is_given_up_with_its_reason(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    accept("t", correlation_id="MY-TRACE-123")
    for _ in range(ledger.MOST_RUNS):
        assert ledger.claim("t", "w/1").verdict == "RUN"
        ledger.release("t", "w/1")

    assert run("t", correlation_id="MY-TRACE-123") == "IGNORED"

    state = broker.state_of("t")
    assert state is not None
    assert (state["status"], state["result"]["exc_type"]) == ("FAILURE", "PoisonTask")
    assert redis.hlen(keys.TASKS) == 0
    assert redis.hlen(DEAD_LETTERS_KEY) == 1
    [line] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (line.task_id, line.correlation_id) == ("t", "MY-TRACE-123")


def test_a_second_booking_changes_nothing(redis: Redis) -> None:
    assert effects.book("t")
    booked = redis.get("booking:t")
    assert not effects.book("t")
    assert redis.get("booking:t") == booked


class Away:
    """Redis that answers the first commands, or none, and is then away."""

    def __init__(self, redis: Redis, after_running: bool) -> None:
        self.redis, self.after_running = redis, after_running
        self.execute = redis.execute_command

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.after_running:
            self.execute(*args, **options)
        raise RedisConnectionError("away")


@pytest.fixture
def away(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], pytest.MonkeyPatch]:
    breaker._redis.reset()
    monkeypatch.setattr(doubts, "_thread", object())  # settled by hand here
    doubts._doubts.clear()

    def begin(after_running: bool) -> pytest.MonkeyPatch:
        patch = pytest.MonkeyPatch()
        patch.setattr(redis, "execute_command", Away(redis, after_running))
        return patch

    return begin


def test_a_refused_task_whose_script_ran_is_taken_back(
    redis: Redis, away: Callable[[bool], pytest.MonkeyPatch], caplog: pytest.LogCaptureFixture
) -> None:
    ledger.accept("before", TASK, {}, "high")  # the script is loaded
    patch = away(True)
    with pytest.raises(Refused) as refused:
        accept("t")
    assert refused.value.code == "SERVER_ERROR_BROKER_DOWN"
    patch.undo()
    assert redis.hexists(keys.TASKS, "t")

    assert doubts.settle() == 0

    assert redis.hkeys(keys.TASKS) == ["before"]
    assert broker.state_of("t") is None
    assert "withdrawn" in caplog.text


def test_after_three_failures_redis_is_not_asked_for_a_second(
    redis: Redis, away: Callable[[bool], pytest.MonkeyPatch], caplog: pytest.LogCaptureFixture
) -> None:
    patch = away(False)
    intake.begin("r-1", [])
    for number in range(breaker.REDIS_FAILURES + 2):
        with pytest.raises(Refused):
            accept(f"t{number}")
    patch.undo()

    assert len(doubts._doubts) == breaker.REDIS_FAILURES
    with pytest.raises(Refused):
        accept("still not asked")
    [line] = [record for record in caplog.records if hasattr(record, "breaker")]
    assert (line.breaker, line.after, line.request_id) == ("redis", "open", "r-1")
    breaker._redis._opened -= breaker.REDIS_PROBE_SECONDS
    accept("asked")
    assert breaker.states()["redis"] == {"state": "closed"}
    doubts.settle()
    intake._current.set(intake.Intake())


def test_a_claim_waits_until_redis_is_back(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    accept("t")
    answers = iter([RedisConnectionError("away"), RedisConnectionError("away")])
    real = ledger.claim

    def claim(task_id: str, owner: str) -> ledger.Claim:
        for error in answers:
            raise error
        return real(task_id, owner)

    monkeypatch.setattr(ledger, "claim", claim)
    assert run("t") == "SUCCESS"
    assert lease.OWNER.partition("/")[0]


@pytest.mark.parametrize(("age", "code"), [(0.0, "SERVER_ERROR_BROKER_DOWN"), (1.2, "SERVER_ERROR_OUTCOME_UNKNOWN")])
def test_a_second_server_without_redis_does_not_say_that_the_task_is_refused(
    redis: Redis, away: Callable[[bool], pytest.MonkeyPatch], age: float, code: str
) -> None:
    patch = away(False)
    intake.begin("r-1", [(b"x-request-start", f"t={time.time() - age:.3f}".encode())])
    for _ in range(breaker.REDIS_FAILURES + 1):
        with pytest.raises(Refused) as refused:
            accept("t")
        assert refused.value.code == code
    patch.undo()
    doubts.settle()
    intake._current.set(None)


def test_a_request_that_nobody_waits_for_is_dropped_without_a_word_to_redis(redis: Redis) -> None:
    intake.begin("r-1", []).hung_up = True
    try:
        with pytest.raises(Refused) as refused:
            accept("t")
    finally:
        intake._current.set(None)
    assert refused.value.code == "SERVER_ERROR_TOO_LATE"
    assert redis.keys("*") == []


def test_a_retry_is_noted_with_its_number_and_when_it_is_due(redis: Redis) -> None:
    accept("t")
    ledger.claim("t", lease.OWNER)
    task = rehearsal.rehearsal
    task.push_request(id="t", retries=1)
    try:
        error = Retry("again", when=60)
        task.on_retry(error, "t", (), {}, SimpleNamespace(exception=SimpleNamespace(exc=error)))
    finally:
        task.pop_request()

    at, _, retries = redis.hget(keys.DUE, "t").partition("/")
    assert retries == "2"
    assert int(at) / 1000 == pytest.approx(time.time() + 60, abs=5)


def test_a_mistake_does_not_end_what_settles_doubts(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doubts, "settle", lambda: 1 // 0)
    doubts._doubts.clear()
    assert doubts._settle_or_log() == 0
    assert "Not settled" in caplog.text
