"""Refusals that may not have been: the API was told nothing by Redis, and answered 503.

The script may have run all the same. Until that is settled the task would run although its client was told that it is
refused, and may have sent it again without a key. So it is taken back as soon as Redis answers: before the reconciler
looks at it, which waits longer. A task that another server has answered for meanwhile is kept.
"""

from __future__ import annotations

import collections
import logging
import threading
from typing import NamedTuple

from redis.exceptions import RedisError

logger = logging.getLogger("taskqueue")
EVERY_SECONDS = 0.25
MOST = 10_000  # beyond these, the oldest are left to run


class Doubt(NamedTuple):
    task_id: str
    key: str | None
    request_id: str


_doubts: collections.deque[Doubt] = collections.deque(maxlen=MOST)
_added = threading.Event()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def add(task_id: str, key: str | None, request_id: str) -> None:
    """Remember a task whose script may have run, with its idempotency key, and settle it in the background."""
    global _thread
    _doubts.append(Doubt(task_id, key, request_id))
    with _starting:
        if _thread is None:
            _thread = threading.Thread(target=_settle_all, name="doubts", daemon=True)
            _thread.start()
    _added.set()


def settle() -> int:
    """Take back what is in doubt, until there is nothing left or Redis does not answer; return how many are left."""
    from taskqueue.reliability import ledger  # which imports this module

    while _doubts:
        doubt = _doubts[0]
        try:
            outcome = ledger.withdraw(doubt.task_id, doubt.key)
        except RedisError:
            break
        if _doubts and _doubts[0] is doubt:
            _doubts.popleft()
        if outcome != "ABSENT":
            extra = {"request_id": doubt.request_id, "task_id": doubt.task_id}
            logger.warning("Refused without an answer from Redis: %s", outcome.lower(), extra=extra)
    return len(_doubts)


def _settle_all() -> None:
    pause = threading.Event()
    while True:
        _added.wait()
        _added.clear()
        while settle():
            pause.wait(EVERY_SECONDS)
