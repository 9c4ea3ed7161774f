"""The ledger of accepted tasks: accept, claim, release, finish, cancel. Each step is one Lua script, so it is whole.

A task's way through it: accepted (in TASKS) -> claimed (also in RUNNING, with the worker's process) -> finished (in
neither). A claim that is released, or whose owner is dead, makes it accepted again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from taskqueue import broker
from taskqueue.contract import LEASE_KEY
from taskqueue.reliability import breaker, doubts, idempotency, intake, keys
from taskqueue.reliability.intake import Told
from taskqueue.reliability.refusals import AlreadyAccepted, Refused
from taskqueue.settings import RESULT_TTL_SECONDS, settings

logger = logging.getLogger("taskqueue")
Answer = TypeVar("Answer")

MOST_RUNS = 4
# Redis runs the script this long after it was sent at the latest, so before this process gives up on the answer.
SCRIPT_SECONDS = 0.35
PATIENCE_SECONDS = 40  # less than a task's time limit
POISON = f"It ended {MOST_RUNS} runs without a result."


def script(name: str) -> Callable[..., Any]:
    """Return a Lua script of this package as a function of `keys` and `args`, run on broker.client unless told."""
    registered = broker.client.register_script((Path(__file__).parent / "lua" / f"{name}.lua").read_text())

    def run(keys: list[str], args: list[Any], client: Any = None) -> Any:
        return registered(keys=keys, args=args, client=client or broker.client)

    return run


_accept, _claim, _finish = script("accept"), script("claim"), script("finish")
_release, _cancel, _withdraw = script("release"), script("cancel"), script("withdraw")


class Entry(NamedTuple):
    """What a task is: all that is needed to send its message again."""

    task_name: str
    kwargs: dict[str, Any]
    queue: str

    @property
    def correlation_id(self) -> str | None:
        found = self.kwargs.get("correlation_id")
        return found if isinstance(found, str) else None


class Claim(NamedTuple):
    """RUN, or why not: GONE, DONE, BUSY, EARLY, POISON; `run` counts the runs, from 1."""

    verdict: str
    run: int


def accept(task_id: str, task_name: str, kwargs: dict[str, Any], queue: str) -> None:
    """Write a task into the ledger: from now on it will be done, whether its message arrives or not.

    Raises:
        AlreadyAccepted: the request's idempotency key and payload have led to a task before.
        Refused: the queue or Redis's memory is full, Redis is away, the request is too old, or its key is malformed or
            used differently.
        redis.RedisError: Redis has answered with an error, as when its disk is full.
    """
    if not settings.durable:
        broker.write_state(task_id, "PENDING")
        return
    request = intake.current()
    key = idempotency.key_of(request)
    now = time.time()
    ends = request.ends or now + intake.BUDGET_SECONDS
    if request.hung_up or now > ends:  # without asking Redis: there may be many, and nobody reads the answer
        raise _too_late()
    latest = min(now + SCRIPT_SECONDS, ends)
    fingerprint = idempotency.fingerprint(task_name, kwargs, queue) if key else ""
    names = [keys.TASKS, keys.ACCEPTED, keys.RUNNING, keys.BREAKER, broker.state_key(task_id)]
    arguments = [
        task_id,
        json.dumps(Entry(task_name, kwargs, queue)),
        broker.encoded_state(task_id, "PENDING"),
        RESULT_TTL_SECONDS,
        int(latest * 1000),
        breaker.WAITING_LIMIT,
        breaker.PROBE_AFTER_SECONDS,
        fingerprint,
        key.seconds if key else 0,
        breaker.MEMORY_SHARE,
    ]
    try:
        with breaker.guarding_redis(request):
            answer = _accept(keys=[*names, key.name if key else keys.TASKS], args=arguments)
    except breaker.AWAY as error:
        doubts.add(Told(task_id, key.name if key else None, task_id), request.request_id)  # the script may have run
        logger.error("Redis does not answer: %s", error, extra={"request_id": request.request_id})
        raise breaker.broker_down(request) from None
    verdict, value, before, after = answer
    if before != after:
        breaker.told("admission", before, after, request.request_id)
    if verdict != "ACCEPTED":
        raise _refusal(verdict, value, key is not None and key.from_client)
    request.told = Told(value, key.name if key else None, task_id)


def _refusal(verdict: str, value: str, from_client: bool) -> Exception:
    if verdict == "REPLAY":
        return AlreadyAccepted(value, from_client)
    if verdict == "MISMATCH":
        detail = f"This Idempotency-Key was used with another payload, for task {value}: use a new key for a new task."
        return Refused("CLIENT_ERROR_IDEMPOTENCY_KEY_REUSED", detail)
    if verdict == "FULL":
        detail = f"{value} tasks are waiting and the limit is {breaker.WAITING_LIMIT}: try again later."
        return Refused("SERVER_ERROR_QUEUE_FULL", detail, 5)
    if verdict == "NO_MEMORY":
        detail = f"The broker's memory is more than {breaker.MEMORY_SHARE:.0%} full. Make room; then try again."
        return Refused("SERVER_ERROR_BROKER_FULL", detail, 10)
    return _too_late()


def _too_late() -> Refused:
    return Refused("SERVER_ERROR_TOO_LATE", "The request waited too long before it could be accepted: try again.", 1)


def claim(task_id: str, owner: str) -> Claim:
    """Ask to run a task as `owner`, which is `<worker>/<process>` and holds the worker's lease."""
    started = broker.encoded_state(task_id, "STARTED")
    names = [keys.TASKS, keys.RUNNING, keys.ATTEMPTS, keys.DUE, broker.state_key(task_id)]
    answer = _claim(keys=names, args=[task_id, owner, LEASE_KEY, MOST_RUNS, started, RESULT_TTL_SECONDS])
    return Claim(str(answer[0]), int(answer[1]))


def finish(task_id: str, status: str) -> None:
    """Take a task whose final state is written out of the ledger; if it was the breaker's probe, that decides."""
    entry = entry_of(task_id)
    names = [keys.TASKS, keys.ACCEPTED, keys.RUNNING, keys.ATTEMPTS, keys.DUE, keys.BREAKER]
    before, after = _finish(keys=names, args=[task_id, status])
    if before != after:
        breaker.told("admission", before, after, entry.correlation_id if entry else None)


def release(task_id: str, owner: str, wait_seconds: float | None = None, retries: int = 0) -> bool:
    """Let go of a claim, if `owner` has it; with `wait_seconds`, until that retry is due. Tell whether it had it."""
    wait = "" if wait_seconds is None else int(wait_seconds * 1000)
    return bool(_release(keys=[keys.RUNNING, keys.ATTEMPTS, keys.DUE], args=[task_id, owner, wait, retries]))


def cancel(task_id: str) -> str:
    """Cancel a task: WAITING (it will never run), RUNNING (tell its worker to stop), or GONE (not in the ledger)."""
    names = [keys.TASKS, keys.ACCEPTED, keys.RUNNING, keys.ATTEMPTS, keys.DUE, broker.state_key(task_id), keys.BREAKER]
    revoked = broker.encoded_state(task_id, "REVOKED")
    return str(_cancel(keys=names, args=[task_id, revoked, RESULT_TTL_SECONDS, LEASE_KEY]))


def withdraw(told: Told) -> str:
    """Take back a task that its client was not told of: WITHDRAWN, ABSENT, or KEPT."""
    names = [keys.TASKS, keys.ACCEPTED, keys.ATTEMPTS, keys.DUE, broker.state_key(told.task_id), keys.BREAKER]
    arguments = [told.task_id, told.teller if told.key else ""]
    return str(_withdraw(keys=[*names, told.key or keys.TASKS], args=arguments))


def entry_of(task_id: str) -> Entry | None:
    """Return what a task is, None when it is not in the ledger."""
    stored = broker.client.hget(keys.TASKS, task_id)
    return Entry(*json.loads(str(stored))) if stored is not None else None


def patiently(step: Callable[[], Answer]) -> Answer:
    """Take a step of a task that has begun, again and again while Redis is away.

    Raises:
        RedisError: it was away for PATIENCE_SECONDS, or answers with an error.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return step()
        except breaker.AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)  # in a pool's process, which has nothing else to do
