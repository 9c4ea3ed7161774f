"""The ledger's scripts on a real Redis: each step, and what it does when the task is not where the step expects it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from redis import Redis
from taskqueue import broker
from taskqueue.contract import LEASE_KEY
from taskqueue.reliability import breaker, intake, keys, ledger
from taskqueue.reliability.intake import Told
from taskqueue.reliability.refusals import AlreadyAccepted, Refused

TASK = "tasks.calculate_var"
OWNER, OTHER = "celery-worker-1/boot", "celery-worker-2/boot"


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    intake._current.set(intake.Intake())
    breaker._redis.reset()
    yield
    intake._current.set(intake.Intake())


def request(*headers: tuple[str, str], request_id: str = "r") -> None:
    intake.begin(request_id, [(name.lower().encode(), value.encode()) for name, value in headers])


def accept(task_id: str, kwargs: dict[str, Any] | None = None, queue: str = "high") -> None:
    ledger.accept(task_id, TASK, kwargs or {}, queue)


def lease(redis: Redis, owner: str) -> None:
    redis.set(f"{LEASE_KEY}{owner.partition('/')[0]}", owner)


def status(task_id: str) -> str:
    state = broker.state_of(task_id)
    return "none" if state is None else str(state["status"])


def ledger_keys(redis: Redis) -> list[str]:
    return sorted(key for key in redis.keys("ledger:*") if key != keys.BREAKER)


def test_an_accepted_task_is_in_the_ledger_with_all_that_its_message_needs(redis: Redis) -> None:
    accept("t", {"seed": 7, "correlation_id": "MY-TRACE-123"}, "low")

    entry = ledger.entry_of("t")
    assert entry == (TASK, {"seed": 7, "correlation_id": "MY-TRACE-123"}, "low")
    assert entry.correlation_id == "MY-TRACE-123"
    assert status("t") == "PENDING"
    assert breaker.waiting() == 1
    assert redis.zscore(keys.ACCEPTED, "t") == pytest.approx(time.time() * 1000, abs=5000)


def test_a_task_is_claimed_once_and_leaves_nothing_behind_when_it_is_finished(redis: Redis) -> None:
    lease(redis, OWNER)
    accept("t")

    assert ledger.claim("t", OWNER) == ("RUN", 1)
    assert status("t") == "STARTED"
    assert breaker.waiting() == 0
    assert ledger.claim("t", OTHER) == ("BUSY", 0)
    assert ledger.claim("t", OWNER) == ("BUSY", 0)

    ledger.finish("t", "SUCCESS")

    assert ledger.claim("t", OTHER) == ("GONE", 0)
    assert ledger_keys(redis) == []


@pytest.mark.parametrize("final", ["SUCCESS", "FAILURE", "REVOKED"])
def test_a_task_that_has_its_final_state_does_not_run_again(redis: Redis, final: str) -> None:
    accept("t")
    ledger.claim("t", OWNER)
    broker.write_state("t", final)
    ledger.release("t", OWNER)

    assert ledger.claim("t", OTHER) == ("DONE", 0)
    assert status("t") == final


def test_a_forged_message_runs_nothing(redis: Redis) -> None:
    assert ledger.claim("forged", OWNER) == ("GONE", 0)
    assert redis.keys("*") == []


def test_the_claim_of_a_process_that_was_replaced_does_not_count(redis: Redis) -> None:
    accept("t")
    ledger.claim("t", OWNER)
    lease(redis, "celery-worker-1/another boot")

    assert ledger.claim("t", OTHER) == ("RUN", 2)


@pytest.mark.parametrize("claimer", [OWNER, OTHER])
def test_after_an_outage_that_outlasts_the_leases_a_task_that_runs_is_not_claimed_again(
    redis: Redis, claimer: str
) -> None:
    lease(redis, OWNER)
    accept("t")
    ledger.claim("t", OWNER)
    redis.delete(f"{LEASE_KEY}celery-worker-1")

    assert ledger.claim("t", claimer) == ("BUSY", 0)


def test_the_fifth_run_is_poison(redis: Redis) -> None:
    accept("t")
    runs = []
    for _ in range(5):
        runs.append(ledger.claim("t", OWNER))
        ledger.release("t", OWNER)

    assert runs == [("RUN", 1), ("RUN", 2), ("RUN", 3), ("RUN", 4), ("POISON", 5)]


def test_only_its_owner_releases_a_claim(redis: Redis) -> None:
    lease(redis, OWNER)
    accept("t")
    ledger.claim("t", OWNER)

    assert not ledger.release("t", OTHER)
    assert ledger.claim("t", OTHER) == ("BUSY", 0)
    assert ledger.release("t", OWNER)
    assert ledger.claim("t", OTHER) == ("RUN", 2)


def test_a_retry_is_not_claimed_before_it_is_due_and_its_runs_are_counted_anew(redis: Redis) -> None:
    accept("t")
    ledger.claim("t", OWNER)

    assert ledger.release("t", OWNER, wait_seconds=60, retries=2)
    assert ledger.claim("t", OWNER) == ("EARLY", 0)
    assert redis.hget(keys.DUE, "t").endswith("/2")

    redis.hset(keys.DUE, "t", f"{int(time.time() * 1000)}/2")
    assert ledger.claim("t", OWNER) == ("RUN", 1)
    assert redis.hlen(keys.DUE) == 0


def test_a_waiting_task_is_cancelled_and_never_runs(redis: Redis) -> None:
    accept("t")

    assert ledger.cancel("t") == "WAITING"
    assert status("t") == "REVOKED"
    assert ledger.claim("t", OWNER) == ("GONE", 0)
    assert ledger.cancel("t") == "GONE"
    assert ledger_keys(redis) == []


def test_a_running_task_that_is_cancelled_does_not_run_again_and_keeps_its_state(redis: Redis) -> None:
    lease(redis, OWNER)
    accept("t")
    ledger.claim("t", OWNER)

    assert ledger.cancel("t") == "RUNNING"
    assert status("t") == "STARTED"
    assert ledger.claim("t", OTHER) == ("GONE", 0)


@pytest.mark.parametrize("successor", [None, "celery-worker-1/another boot"])
def test_a_cancelled_task_whose_worker_is_dead_has_a_final_state(redis: Redis, successor: str | None) -> None:
    accept("t")
    ledger.claim("t", OWNER)
    if successor:
        lease(redis, successor)

    assert ledger.cancel("t") == "RUNNING"  # its worker is told all the same: it may only have been slow
    assert status("t") == "REVOKED"
    assert ledger_keys(redis) == []


# --- a request's deadline and keys ---------------------------------------------------------------------------------


def test_a_request_that_is_too_old_creates_nothing(redis: Redis) -> None:
    request(("X-Request-Start", f"t={time.time() - intake.BUDGET_SECONDS - 1:.3f}"))

    with pytest.raises(Refused) as refused:
        accept("t")

    assert refused.value.code == "SERVER_ERROR_TOO_LATE"
    assert redis.keys("*") == []


@pytest.mark.parametrize(("age", "left"), [(0.0, 3.0), (2.9, 0.1), (60.0, -57.0), (-5.0, 3.0)])
def test_a_request_has_three_seconds_from_when_nginx_got_it(
    age: float, left: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    request(("X-Request-Start", f"t={1000.0 - age:.3f}"))

    assert intake.current().ends == pytest.approx(1000.0 + left)


def test_who_accepts_a_task_is_to_tell_its_client_and_who_repeats_it_never_takes_it_back(redis: Redis) -> None:
    request(("X-Retry-Key", "r"))
    accept("first")
    [name] = redis.keys("idempotency:*")
    assert intake.current().told == Told("first", name, "first")

    request(("X-Retry-Key", "r"))
    with pytest.raises(AlreadyAccepted):
        accept("second")
    assert intake.current().told is None
    assert ledger.withdraw(Told("first", name, "first")) == "KEPT"


@pytest.mark.parametrize("start", ["t=9999999999.0", "yesterday", "t=-1", "t=1e5"])
def test_a_start_in_the_future_or_unreadable_is_now(redis: Redis, start: str) -> None:
    request(("X-Request-Start", start))
    accept("t")
    assert status("t") == "PENDING"


def test_the_same_key_and_payload_lead_to_the_same_task(redis: Redis) -> None:
    request(("Idempotency-Key", '"clicked"'))
    accept("first", {"seed": 7, "correlation_id": "one"})
    with pytest.raises(AlreadyAccepted) as again:
        accept("second", {"correlation_id": "another", "seed": 7})

    assert (again.value.task_id, again.value.from_client) == ("first", True)
    assert redis.hkeys(keys.TASKS) == ["first"]
    [name] = redis.keys("idempotency:*")
    assert 24 * 3600 - 60 < redis.ttl(name) <= 24 * 3600


def test_a_key_is_the_same_with_and_without_quotes(redis: Redis) -> None:
    request(("Idempotency-Key", '"calc-1"'))
    accept("first")
    request(("Idempotency-Key", " calc-1 "))
    with pytest.raises(AlreadyAccepted):
        accept("second")


@pytest.mark.parametrize(("kwargs", "queue"), [({"seed": 8}, "high"), ({"seed": 7}, "low")])
def test_the_same_key_with_another_payload_is_refused(redis: Redis, kwargs: dict[str, Any], queue: str) -> None:
    request(("Idempotency-Key", "k"))
    accept("first", {"seed": 7})
    with pytest.raises(Refused) as refused:
        accept("second", kwargs, queue)

    assert refused.value.code == "CLIENT_ERROR_IDEMPOTENCY_KEY_REUSED"
    assert "first" in refused.value.detail


@pytest.mark.parametrize("sent", ["", '""', "a b", 'a"b', "x" * 256, '"open', "a\x7f", "ä"])
def test_a_malformed_key_is_refused(redis: Redis, sent: str) -> None:
    intake.begin("r", [(b"idempotency-key", sent.encode("latin-1"))])
    with pytest.raises(Refused) as refused:
        accept("t")
    assert refused.value.code == "CLIENT_ERROR_IDEMPOTENCY_KEY_MALFORMED"
    assert redis.keys("*") == []


def test_two_keys_are_refused(redis: Redis) -> None:
    request(("Idempotency-Key", "a"), ("Idempotency-Key", "a"))
    with pytest.raises(Refused):
        accept("t")


def test_nginx_s_key_lives_for_a_minute_and_gives_way_to_the_client_s(redis: Redis) -> None:
    request(("X-Retry-Key", "r1"))
    accept("first")
    with pytest.raises(AlreadyAccepted) as again:
        accept("second")
    assert not again.value.from_client
    [name] = redis.keys("idempotency:*")
    assert 0 < redis.ttl(name) <= 60

    request(("X-Retry-Key", "r1"), ("Idempotency-Key", "r1"))
    accept("third")
    assert set(redis.hkeys(keys.TASKS)) == {"first", "third"}


# --- admission and the breaker -------------------------------------------------------------------------------------


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(breaker, "WAITING_LIMIT", 10)
    return 10


def fill(count: int) -> None:
    """Send `count` tasks, of which some may be refused."""
    for number in range(count):
        with contextlib.suppress(Refused):
            accept(f"fill-{number}")


def breaker_state(redis: Redis) -> str | None:
    return redis.hget(keys.BREAKER, "state")


def finish(*task_ids: str, status: str = "SUCCESS") -> None:
    for task_id in task_ids:
        ledger.claim(task_id, OWNER)
        ledger.finish(task_id, status)


def test_no_more_than_the_limit_is_accepted_however_many_come_at_once(redis: Redis, limit: int) -> None:
    def one(number: int) -> bool:
        try:
            accept(f"t{number}")
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(max_workers=16) as pool:
        accepted = sum(pool.map(one, range(60)))

    assert accepted == redis.hlen(keys.TASKS) == limit
    assert breaker_state(redis) == "open"


def test_a_task_that_runs_does_not_wait(redis: Redis, limit: int) -> None:
    fill(limit)
    ledger.claim("fill-0", OWNER)
    accept("one more")
    with pytest.raises(Refused):
        accept("and one more")


def test_open_stays_open_until_half_of_it_is_done_then_one_probe_decides(
    redis: Redis, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    fill(limit + 1)
    finish(*[f"fill-{number}" for number in range(limit // 2 - 1)])
    with pytest.raises(Refused):
        accept("too early")
    finish(f"fill-{limit // 2 - 1}")

    request(request_id="the-probe")
    with ThreadPoolExecutor(max_workers=24) as pool:
        futures = [pool.submit(accept, f"caller-{number}") for number in range(24)]
    probes = [number for number, future in enumerate(futures) if future.exception() is None]

    assert len(probes) == 1
    assert breaker_state(redis) == "half-open"
    finish(f"caller-{probes[0]}")
    assert breaker_state(redis) == "closed"
    accept("as before")
    moves = [(r.before, r.after) for r in caplog.records if hasattr(r, "breaker")]
    assert moves == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]


@pytest.mark.parametrize("end", ["FAILURE", "cancelled", "withdrawn"])
def test_a_probe_that_does_not_succeed_opens_it_again(redis: Redis, limit: int, end: str) -> None:
    fill(limit + 1)
    finish(*[f"fill-{number}" for number in range(limit // 2)])
    accept("probe")
    if end == "cancelled":
        ledger.cancel("probe")
    elif end == "withdrawn":
        ledger.withdraw(Told("probe", None, "probe"))
    else:
        finish("probe", status=end)

    assert breaker_state(redis) == "open"
    accept("next probe")
    assert redis.hget(keys.BREAKER, "probe") == "next probe"


def test_after_a_minute_another_probe_may_try(redis: Redis, limit: int) -> None:
    fill(limit + 1)
    ledger.claim("fill-0", OWNER)
    with pytest.raises(Refused):
        accept("more than half are waiting")
    redis.hset(keys.BREAKER, "since", 0)
    accept("a minute later")
    ledger.claim("fill-1", OWNER)
    with pytest.raises(Refused):
        accept("the probe has not come back")
    redis.hset(keys.BREAKER, "since", 0)
    accept("another minute later")


def test_a_clock_that_was_set_back_does_not_keep_the_breaker_half_open(redis: Redis, limit: int) -> None:
    redis.hset(keys.BREAKER, mapping={"state": "half-open", "since": int((time.time() + 3600) * 1000), "probe": "lost"})

    accept("probe")

    assert redis.hget(keys.BREAKER, "probe") == "probe"


def test_a_repeated_key_is_answered_even_when_the_queue_is_full(redis: Redis, limit: int) -> None:
    request(("Idempotency-Key", "k"))
    accept("first")
    intake._current.set(intake.Intake())
    fill(limit)
    request(("Idempotency-Key", "k"))
    with pytest.raises(AlreadyAccepted):
        accept("second")


@pytest.fixture
def nearly_full(redis: Redis) -> Iterator[Redis]:
    used = redis.info("memory")["used_memory"]
    redis.config_set("maxmemory", int(used / 0.9))
    yield redis
    redis.config_set("maxmemory", 0)


def test_the_memory_that_accepted_tasks_need_to_end_is_not_given_to_new_ones(nearly_full: Redis) -> None:
    with pytest.raises(Refused) as refused:
        accept("t")

    assert refused.value.code == "SERVER_ERROR_BROKER_FULL"
    assert ledger_keys(nearly_full) == []


# --- withdrawing ---------------------------------------------------------------------------------------------------


def test_a_refused_task_is_withdrawn_with_its_key(redis: Redis) -> None:
    request(("X-Retry-Key", "r"))
    accept("t")
    [name] = redis.keys("idempotency:*")

    assert ledger.withdraw(Told("t", name, "t")) == "WITHDRAWN"
    assert redis.keys("*") == []
    assert ledger.withdraw(Told("t", name, "t")) == "ABSENT"


def test_a_task_that_waits_for_its_next_run_is_not_withdrawn(redis: Redis) -> None:
    for task_id, wait in (("lost its worker", None), ("waits for a retry", 60)):
        accept(task_id)
        ledger.claim(task_id, OWNER)
        ledger.release(task_id, OWNER, wait)
        assert ledger.withdraw(Told(task_id, None, task_id)) == "KEPT"
        assert status(task_id) == "STARTED"


def test_a_task_is_kept_when_it_runs_or_another_server_has_answered_for_it(redis: Redis) -> None:
    accept("runs")
    ledger.claim("runs", OWNER)
    assert ledger.withdraw(Told("runs", None, "runs")) == "KEPT"

    request(("X-Retry-Key", "r"))
    accept("told")
    with pytest.raises(AlreadyAccepted):
        accept("asked on another server")
    [name] = redis.keys("idempotency:*")
    assert ledger.withdraw(Told("told", name, "told")) == "KEPT"
    assert status("told") == "PENDING"


# --- messages ------------------------------------------------------------------------------------------------------


def test_the_tasks_of_messages_are_read_from_their_headers(redis: Redis) -> None:
    def message(task_id: str) -> str:
        return json.dumps({"body": "W10=", "headers": {"lang": "py", "id": task_id, "root_id": "x"}})

    redis.lpush("high", message("a"), "not JSON", message("b"))
    redis.lpush("low", message("c"))
    redis.hset("unacked", "tag", json.dumps([json.loads(message("d")), "high", "high"]))

    queued, delivered = ledger.script("messages")(keys=["unacked", "high", "medium", "low"], args=[])

    assert sorted(queued) == ["a", "b", "c"]
    assert delivered == ["tag", "d"]
