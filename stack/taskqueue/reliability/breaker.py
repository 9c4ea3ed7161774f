"""Refusing early: one circuit breaker for the queue, shared by all servers, and one in each process for Redis itself.

The shared one is part of the script that accepts (lua/accept.lua): a breaker in Redis sees what every server sees, and
lets one probe through, not one per server. It cannot tell that Redis is away; for that each process has its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from circuitbreaker import CircuitBreaker
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from taskqueue import broker
from taskqueue.reliability import keys
from taskqueue.reliability.intake import Intake
from taskqueue.reliability.refusals import Refused

logger = logging.getLogger("taskqueue")

WAITING_LIMIT = 500
PROBE_AFTER_SECONDS = 60
MEMORY_SHARE = 0.8  # of Redis's maxmemory; the rest is for messages, claims and results
REDIS_FAILURES = 3
REDIS_PROBE_SECONDS = 1
AWAY = (ConnectionError, TimeoutError)

_redis = CircuitBreaker(REDIS_FAILURES, REDIS_PROBE_SECONDS, AWAY, name="redis")


@contextmanager
def guarding_redis(request: Intake) -> Iterator[None]:
    """Count what Redis does in the block; after three failures in a row, refuse for a second without asking it.

    Raises:
        Refused: Redis is away, as far as this process knows.
    """
    if _redis.opened:
        raise broker_down(request)
    before = _redis.state
    try:
        with _redis:
            yield
    finally:
        if (after := _redis.state) != before:
            told("redis", before, after, request.request_id)


def broker_down(request: Intake) -> Refused:
    """Return the refusal of a request while Redis is away; it is none if another server may have accepted the task."""
    if request.is_first_try:
        return Refused("SERVER_ERROR_BROKER_DOWN", "The broker does not answer; try again in a few seconds.", 2)
    detail = "The broker does not answer, but the task may be accepted: send it again with the same Idempotency-Key."
    return Refused("SERVER_ERROR_OUTCOME_UNKNOWN", detail, 2)


def told(name: str, before: str, after: str, request_id: str | None) -> None:
    """Log a breaker's transition, with the ID of the request that caused it."""
    before, after = before.replace("_", "-"), after.replace("_", "-")
    extra = {"breaker": name, "before": before, "after": after, "request_id": request_id}
    logger.warning("Circuit breaker %s: %s -> %s", name, before, after, extra=extra)


def waiting() -> int:
    """Return how many accepted tasks wait, for a worker or for a retry."""
    with broker.client.pipeline(transaction=True) as pipeline:
        pipeline.hlen(keys.TASKS)
        pipeline.hlen(keys.RUNNING)
        accepted, running = pipeline.execute()
    return int(accepted) - int(running)


def states() -> dict[str, Any]:
    """Return both breakers' states; of the shared one also how many tasks wait, all None when Redis is away."""
    redis_state = {"state": _redis.state.replace("_", "-")}
    try:
        state = broker.client.hget(keys.BREAKER, "state") or "closed"
        admission: dict[str, Any] = {"state": state, "waiting": waiting()}
    except RedisError:
        admission = {"state": None, "waiting": None}
    return {"admission": {**admission, "limit": WAITING_LIMIT}, "redis": redis_state}
