"""A fifth task, the same in every stage: it takes as long, and fails in the way, that its request says.

Drills and lessons use it to see what becomes of a task. Its effect is one that must not happen twice: a booking, keyed
by the task's ID.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import Task

from taskqueue.logs import task_log
from taskqueue.reliability import effects
from taskqueue.worker import app

MAX_RETRIES = 3


class TransientError(Exception):
    """Something that may work the next time, such as a service that does not answer."""


@app.task(bind=True, name="taskqueue.rehearsal", max_retries=MAX_RETRIES)
def rehearsal(
    self: Task,
    seconds: float = 0.0,
    fail: str | None = None,
    failures: int = 100,
    retry_seconds: float = 60.0,
    correlation_id: str | None = None,
    **_: Any,
) -> dict[str, Any]:
    """Wait `seconds`, fail as asked, and book once. A transient failure is retried, a permanent one is not.

    Raises:
        TransientError: `fail` is "transient" and fewer than `failures` runs have failed.
        ValueError: `fail` is "permanent".
    """
    run = self.request.retries + 1
    try:
        with task_log("Rehearsal", task_id=self.request.id, correlation_id=correlation_id):
            time.sleep(seconds)
            if fail == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if fail == "permanent":
                raise ValueError("a permanent failure, as asked")
            if fail == "transient" and run <= failures:
                raise TransientError(f"a transient failure, as asked, in run {run}")
            effects.book(self.request.id, correlation_id)
    except TransientError as error:
        raise self.retry(exc=error, countdown=retry_seconds) from error
    return {"runs": run}
