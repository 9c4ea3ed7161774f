"""What a refusal and a log line tell: the code and how long to wait; which task, whose ID, which run."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Ignore, Reject

from redis import ConnectionError as RedisConnectionError
from redis import Redis, ResponseError

with pytest.MonkeyPatch.context() as patch:
    from taskqueue import logs

    patch.setattr(logs, "configure", lambda: None)  # pytest has its own handlers on the root logger

from taskqueue import broker, rehearsal
from taskqueue.contract import DEAD_LETTERS_KEY
from taskqueue.reliability import breaker, dead_letters, doubts, effects, intake, keys, lease, ledger, task
from taskqueue.reliability.intake import Told
from taskqueue.reliability.refusals import Refused
from taskqueue.settings import RESULT_TTL_SECONDS

NAME = "taskqueue.rehearsal"
KWARGS = {"correlation_id": "MY-TRACE-123"}
ABOUT = {"task_id": "t", "correlation_id": "MY-TRACE-123"}


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    caplog.set_level(logging.INFO, "taskqueue")
    return _Lines(caplog)


class _Lines(list[dict[str, Any]]):
    """The service's log lines, read when they are looked at."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog = caplog

    def __iter__(self) -> Any:
        return iter([vars(record) for record in self.caplog.records if record.name == "taskqueue"])

    def one(self, **fields: Any) -> dict[str, Any]:
        [line] = [line for line in self if fields.items() <= line.items()]
        return line


def accept(task_id: str = "t", **kwargs: Any) -> None:
    ledger.accept(task_id, NAME, kwargs or KWARGS, "high")


def refused(**request: Any) -> Refused:
    intake._current.set(intake.Intake(**request))
    with pytest.raises(Refused) as refusal:
        accept("other")
    return refusal.value


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_full_queue_tells_how_many_wait_and_when_to_come_back(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "WAITING_LIMIT", 1)
    accept()
    refusal = refused()
    assert (refusal.code, refusal.retry_after) == ("SERVER_ERROR_QUEUE_FULL", 5)
    assert refusal.detail.startswith("1 tasks are waiting and the limit is 1")


@pytest.mark.parametrize("request_", [{"hung_up": True}, {"ends": 1.0}])
def test_a_late_request_may_come_back_at_once(redis: Redis, request_: dict[str, Any]) -> None:
    refusal = refused(**request_)
    assert (refusal.code, refusal.retry_after) == ("SERVER_ERROR_TOO_LATE", 1)


def test_a_reused_key_names_the_task_that_it_belongs_to(redis: Redis) -> None:
    intake._current.set(intake.Intake(keys=("k",)))
    accept(seconds=1)
    refusal = refused(keys=("k",))
    assert (refusal.code, refusal.retry_after) == ("CLIENT_ERROR_IDEMPOTENCY_KEY_REUSED", None)
    assert "task t:" in refusal.detail


def test_a_broker_without_memory_tells_its_share(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_accept", lambda **_: ["NO_MEMORY", "", "", ""])
    refusal = refused()
    assert (refusal.code, refusal.retry_after) == ("SERVER_ERROR_BROKER_FULL", 10)
    assert "80%" in refusal.detail


@pytest.mark.parametrize(("first", "code", "words"), [
    (True, "SERVER_ERROR_BROKER_DOWN", "does not answer; try again"),
    (False, "SERVER_ERROR_OUTCOME_UNKNOWN", "may be accepted"),
])  # fmt: skip
def test_without_redis_a_refusal_says_whether_the_task_may_be_accepted(first: bool, code: str, words: str) -> None:
    refusal = breaker.broker_down(intake.Intake(is_first_try=first))
    assert (refusal.code, refusal.retry_after) == (code, 2)
    assert words in refusal.detail


# --- lines of the API -------------------------------------------------------------------------------------------------


def test_a_request_that_redis_does_not_answer_is_logged_and_in_doubt(
    redis: Redis, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> None:
        raise RedisConnectionError("away")

    told: list[Any] = []
    monkeypatch.setattr(ledger, "_accept", away)
    monkeypatch.setattr(doubts, "add", lambda *arguments: told.append(arguments))
    refused(request_id="r-1", retry_key="nginx-1")
    line = lines.one(request_id="r-1")
    assert line["levelno"] == logging.ERROR and "away" in line["message"]
    [(doubt, request_id)] = told
    assert (doubt.task_id, doubt.teller, request_id) == ("other", "other", "r-1")
    assert doubt.key is not None and doubt.key.startswith("idempotency:nginx:")


def test_the_breaker_names_the_requests_that_opened_and_closed_it(
    redis: Redis, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "WAITING_LIMIT", 1)
    accept("first")
    refused(request_id="r-full")
    ledger.claim("first", lease.OWNER)
    ledger.finish("first", "SUCCESS")
    intake._current.set(intake.Intake(request_id="r-probe"))
    accept("probe", correlation_id="MY-PROBE")
    ledger.claim("probe", lease.OWNER)
    ledger.finish("probe", "SUCCESS")

    told = [line for line in lines if "breaker" in line]
    moves = [(line["breaker"], line["before"], line["after"], line["request_id"]) for line in told]
    assert moves == [
        ("admission", "closed", "open", "r-full"),
        ("admission", "open", "half-open", "r-probe"),
        ("admission", "half-open", "closed", "MY-PROBE"),
    ]
    assert {line["levelno"] for line in told} == {logging.WARNING}


def test_a_task_that_is_taken_back_is_logged_with_its_request(redis: Redis, lines: Any) -> None:
    doubts._doubts.clear()
    accept()
    doubts._doubts.extend(
        doubts.Doubt(Told(task_id, None, task_id), f"request of {task_id}") for task_id in ("t", "never")
    )
    assert doubts.settle() == 0
    [line] = list(lines)  # of one that never was accepted there is nothing to tell
    assert (line["request_id"], line["task_id"]) == ("request of t", "t")
    assert line["message"].endswith(": withdrawn")
    assert redis.hlen(keys.TASKS) == 0


def test_what_is_in_doubt_stays_so_until_redis_answers(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    doubts._doubts.clear()
    doubts._doubts.extend(doubts.Doubt(Told(name, None, name), "r") for name in ("a", "b"))
    answers: list[Any] = ["KEPT", RedisConnectionError("away")]

    def withdraw(told: Told) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(ledger, "withdraw", withdraw)
    assert doubts.settle() == 1
    assert [doubt.told.task_id for doubt in doubts._doubts] == ["b"]
    doubts._doubts.clear()


def test_the_breakers_states_are_told_also_while_redis_is_away(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    accept()
    admission = {"state": "closed", "waiting": 1, "limit": breaker.WAITING_LIMIT}
    assert breaker.states() == {"admission": admission, "redis": {"state": "closed"}}
    redis.hset(keys.BREAKER, "state", "half-open")
    assert breaker.states()["admission"]["state"] == "half-open"

    def away(*_: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(redis, "hget", away)
    assert breaker.states()["admission"] == {"state": None, "waiting": None, "limit": breaker.WAITING_LIMIT}


# --- lines of a worker ------------------------------------------------------------------------------------------------


def before_start(task_id: str = "t") -> None:
    rehearsal.rehearsal.before_start(task_id, (), KWARGS)


def test_the_first_run_says_nothing_and_the_next_one_its_number(redis: Redis, lines: Any) -> None:
    accept()
    before_start()
    assert list(lines) == []
    assert redis.hget(keys.RUNNING, "t") == lease.OWNER
    ledger.release("t", lease.OWNER)
    before_start()
    line = lines.one(run=2, **ABOUT)
    assert line["levelno"] == logging.WARNING and line["message"] == f"Run 2 of at most {ledger.MOST_RUNS}"


def test_an_ignored_message_says_why(redis: Redis, lines: Any) -> None:
    with pytest.raises(Ignore):
        before_start()
    line = lines.one(claim="GONE", **ABOUT)
    assert line["levelno"] == logging.INFO and line["message"].endswith(": gone")


def test_poison_is_told_then_ignored(redis: Redis, lines: Any) -> None:
    accept()
    redis.hset(keys.ATTEMPTS, "t", ledger.MOST_RUNS)
    with pytest.raises(Ignore):
        before_start()
    line = lines.one(levelno=logging.ERROR, **ABOUT)
    assert ledger.POISON in line["message"] and "t " in line["message"]
    assert lines.one(claim="POISON")["task_id"] == "t"
    [letter] = dead_letters.all()
    assert (letter["id"], letter["queue"], letter["reason"], letter["correlation_id"]) == (
        "t", "high", ledger.POISON, "MY-TRACE-123"
    )  # fmt: skip
    state = broker.state_of("t")
    assert state is not None and state["status"] == "FAILURE"
    assert state["result"] == {"exc_type": "PoisonTask", "exc_message": [ledger.POISON], "exc_module": ""}
    assert redis.hlen(keys.TASKS) == 0


def test_giving_up_a_task_that_is_gone_keeps_no_letter(redis: Redis) -> None:
    task.give_up("t")
    assert redis.exists(DEAD_LETTERS_KEY) == 0
    assert (broker.state_of("t") or {})["status"] == "FAILURE"


def test_a_claim_that_redis_refuses_puts_the_message_back(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(task_id: str, owner: str) -> None:
        assert (task_id, owner) == ("t", lease.OWNER)
        raise ResponseError("OOM")

    monkeypatch.setattr(ledger, "claim", refuse)
    with pytest.raises(Reject) as rejected:
        before_start()
    assert rejected.value.requeue is True and "OOM" in str(rejected.value.reason)


def test_a_finish_that_redis_does_not_hear_is_left_to_the_reconciler(
    redis: Redis, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(task_id: str, status: str) -> None:
        assert (task_id, status) == ("t", "SUCCESS")
        raise RedisConnectionError("away")

    monkeypatch.setattr(ledger, "finish", away)
    rehearsal.rehearsal.after_return("SUCCESS", None, "t", (), KWARGS, None)
    assert "away" in lines.one(task_id="t", levelno=logging.WARNING)["message"]


@pytest.mark.parametrize(("durable", "second"), [(True, "already applied"), (False, "applied")])
def test_a_booking_is_logged_with_its_effect(
    redis: Redis, lines: Any, monkeypatch: pytest.MonkeyPatch, durable: bool, second: str
) -> None:
    monkeypatch.setattr(effects, "settings", SimpleNamespace(durable=durable))
    assert [effects.book("t", "MY-TRACE-123"), effects.book("t", "MY-TRACE-123")] == [True, not durable]
    found = [line for line in lines if "effect" in line]
    assert [line["effect"] for line in found] == ["applied", second]
    assert [line["message"] for line in found] == ["Booking applied", f"Booking {second}"]
    assert all(ABOUT.items() <= line.items() for line in found)
    assert RESULT_TTL_SECONDS - 5 < redis.ttl("booking:t") <= RESULT_TTL_SECONDS


def test_patience_ends_and_an_error_that_is_an_answer_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    calls = []
    monkeypatch.setattr(
        ledger, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    )

    def away() -> None:
        calls.append(now[0])
        raise RedisConnectionError("away")

    with pytest.raises(RedisConnectionError):
        ledger.patiently(away)
    assert ledger.PATIENCE_SECONDS < calls[-1] <= ledger.PATIENCE_SECONDS + 1
    assert len(calls) > 100

    def refuse() -> None:
        calls.append(-1)
        raise ResponseError("OOM")

    with pytest.raises(ResponseError):
        ledger.patiently(refuse)
    assert calls.count(-1) == 1
