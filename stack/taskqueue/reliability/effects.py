"""An effect that must not happen twice: a booking, keyed by the ID of the task that makes it.

A task may run twice: its worker can be killed after the effect and before the result. What makes this harmless is not
the queue but the effect: written under the task's ID, the second time changes nothing.
"""

from __future__ import annotations

import logging
import uuid

from taskqueue import broker
from taskqueue.reliability.ledger import patiently
from taskqueue.settings import RESULT_TTL_SECONDS, settings

logger = logging.getLogger("taskqueue")


def book(task_id: str, correlation_id: str | None = None) -> bool:
    """Book once for a task; tell whether this call did. With the stock settings, it books every time.

    Raises:
        redis.RedisError: Redis stays away.
    """
    key, run = f"booking:{task_id}", uuid.uuid4().hex
    if settings.durable:
        patiently(lambda: broker.client.set(key, run, nx=True, ex=RESULT_TTL_SECONDS))
        # The answer to a write that was repeated may be about the first one.
        applied = patiently(lambda: broker.client.get(key)) == run
    else:
        broker.client.set(key, run, ex=RESULT_TTL_SECONDS)
        applied = True
    word = "applied" if applied else "already applied"
    logger.info("Booking %s", word, extra={"effect": word, "task_id": task_id, "correlation_id": correlation_id})
    return applied
