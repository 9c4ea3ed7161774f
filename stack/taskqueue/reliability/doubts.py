"""Tasks that may be in the ledger although no client knows of them.

Either Redis did not answer in time and the client was told 503, but the script may have run all the same. Or the task
was accepted, but nginx or the client had hung up before it could be told. Such a task would run although its client
takes it for refused, and may have sent it again without a key. So it is taken back as soon as Redis answers, before the
reconciler sends its message. A task for which another server has answered meanwhile is kept.
"""

from __future__ import annotations

import collections
import logging
import threading
from typing import NamedTuple

from redis.exceptions import RedisError

from taskqueue.reliability.intake import Told

logger = logging.getLogger("taskqueue")
EVERY_SECONDS = 0.25
MOST = 10_000  # beyond these, the oldest are left to run


class Doubt(NamedTuple):
    told: Told
    request_id: str


_doubts: collections.deque[Doubt] = collections.deque(maxlen=MOST)
_added = threading.Event()
_starting = threading.Lock()
_thread: threading.Thread | None = None


def add(told: Told, request_id: str) -> None:
    """Remember a task that its client was not told of, and settle it in the background."""
    global _thread
    _doubts.append(Doubt(told, request_id))
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
            outcome = ledger.withdraw(doubt.told)
        except RedisError:
            break
        if _doubts and _doubts[0] is doubt:
            _doubts.popleft()
        if outcome != "ABSENT":
            extra = {"request_id": doubt.request_id, "task_id": doubt.told.task_id}
            logger.warning("The client was not told of this task: %s", outcome.lower(), extra=extra)
    return len(_doubts)


def _settle_all() -> None:
    pause = threading.Event()
    while True:
        _added.wait()
        _added.clear()
        while _settle_or_log():
            pause.wait(EVERY_SECONDS)


def _settle_or_log() -> int:
    try:
        return settle()
    except Exception:  # this thread must outlive any mistake in here
        logger.exception("Not settled: a fault of this service")
        return len(_doubts)
