"""A task that runs only with a claim from the ledger, and leaves the ledger when it has its final state."""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import UTC, datetime
from typing import Any

from celery import Task
from celery.exceptions import Ignore, Reject
from redis.exceptions import RedisError

from taskqueue import broker, metrics
from taskqueue.reliability import dead_letters, keys, lease, ledger

logger = logging.getLogger("taskqueue")


class DurableTask(Task):
    """Claims before it starts, finishes after it has returned; in between it is the task that a stage wrote."""

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Claim the task.

        Raises:
            Ignore: it is finished, cancelled, running elsewhere, waiting for its retry, or has ended too many runs.
            Reject: Redis stays away; the message is put back.
        """
        about = {"task_id": task_id, "correlation_id": kwargs.get("correlation_id")}
        try:
            verdict, run = ledger.patiently(lambda: ledger.claim(task_id, lease.OWNER))
            if verdict == "POISON":
                logger.error("Poison: %s %s", task_id, ledger.POISON, extra=about)
                ledger.patiently(lambda: give_up(task_id))
        except RedisError as error:
            raise Reject(error, requeue=True) from error
        if verdict != "RUN":
            logger.info("Message ignored: %s", verdict.lower(), extra={**about, "claim": verdict})
            raise Ignore
        if run == 1:
            self.observe_waiting(task_id)
        else:
            logger.warning("Run %d of at most %d", run, ledger.MOST_RUNS, extra={**about, "run": run})

    def observe_waiting(self, task_id: str) -> None:
        """Observe how long the task has waited since it was accepted; what cannot be asked is left out."""
        with contextlib.suppress(RedisError):
            accepted = broker.client.zscore(keys.ACCEPTED, task_id)
            if accepted is not None:
                metrics.WAITING_SECONDS.labels(self.name).observe(max(0.0, time.time() - float(accepted) / 1000))

    def on_retry(self, exc: Exception, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any], einfo: Any) -> None:
        """Let go of the claim until the retry is due."""
        retry = einfo.exception  # which billiard has wrapped in one that keeps its traceback
        when = getattr(retry, "exc", retry).when
        if isinstance(when, datetime):
            when = (when - datetime.now(when.tzinfo or UTC)).total_seconds()
        ledger.patiently(lambda: ledger.release(task_id, lease.OWNER, when or 0, self.request.retries + 1))

    def after_return(
        self, status: str, retval: Any, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any], einfo: Any
    ) -> None:
        """Take the task out of the ledger. If Redis is away, the reconciler does it."""
        try:
            ledger.finish(task_id, status)
        except RedisError as error:
            logger.warning("Not finished in the ledger yet: %s", error, extra={"task_id": task_id})


def give_up(task_id: str) -> None:
    """Give a poisonous task its final state, and keep it among the dead letters."""
    entry = ledger.entry_of(task_id)
    if entry is not None:
        dead_letters.add(
            ledger.POISON,
            queue=entry.queue,
            content=list(entry),
            task_id=task_id,
            correlation_id=entry.correlation_id,
        )
    broker.write_state(task_id, "FAILURE", {"exc_type": "PoisonTask", "exc_message": [ledger.POISON], "exc_module": ""})
    ledger.finish(task_id, "FAILURE")
