"""Logs: one JSON object per line on standard output, with the same few field names in every service.

`ts` is seconds since the epoch, `service` the container, `at` the file and line that logged. A line with a `hop`
is written by one of the five layers at its hand-off; its `correlation_id` is the ID passed on, null when there is none.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from taskqueue import metrics
from taskqueue.contract import ID_FIELDS
from taskqueue.redaction import redacted_field
from taskqueue.settings import settings

logger = logging.getLogger("taskqueue")
OWN_FIELDS = (*ID_FIELDS, "ts", "level", "service", "hop", "at", "queue", "method", "duration_ms")
LIBRARIES = ("amqp", "celery", "flower", "httpx", "kombu", "multiprocessing", "redis", "tornado", "uvicorn")
_FIELDS_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class JsonLine(logging.Formatter):
    """Format a record as one line of JSON; every item of the caller's `extra` becomes a field."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": round(record.created, 6),
            "level": record.levelname,
            "service": settings.service_name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _FIELDS_OF_EVERY_RECORD}
        about_task = extra.pop("data", None)  # where Celery's own lines have the task's name and ID
        if isinstance(about_task, dict) and "id" in about_task:
            extra.setdefault("task_id", about_task["id"])
        line.update(extra)
        if "hop" in extra:
            line["at"] = f"{_path_of(record.pathname)}:{record.lineno}"
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        for name, value in line.items():
            if name not in OWN_FIELDS:
                line[name] = redacted_field(name, value)
        return json.dumps(line)


@functools.cache
def _path_of(source: str) -> str:
    return os.path.relpath(source, os.pardir)


def configure() -> None:
    """Write what is logged in this process to standard output, as JSON lines.

    In staging that is everything from INFO on, in development also what this project's own code tells for debugging, in
    production of the libraries only warnings and errors.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line shows them
    if settings.environment == "development":
        logger.setLevel(logging.DEBUG)
    if settings.environment == "production":
        for name in LIBRARIES:
            logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "tornado"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def log_hand_off(hop: str, handed_on: Mapping[str, Any], **fields: Any) -> None:
    """Log what the layer `hop` is about to pass on: `handed_on` is the very arguments that the next layer gets."""
    extra = {"hop": hop, "correlation_id": handed_on.get("correlation_id"), **fields}
    metrics.count_hand_off_of_request(hop, handed_on.get("correlation_id"))
    logger.info("Handing on from %s", hop, extra=extra, stacklevel=2)


class task_log:
    """Log the start and the end of a task around a `with` block, each line with the given fields.

    The start is the worker's hand-off. `duration_ms` on the last line is the wall time of the block.
    """

    def __init__(self, name: str, task_id: str, correlation_id: str | None = None) -> None:
        self.name = name
        self.fields = {"task_id": task_id, "correlation_id": correlation_id}

    def __enter__(self) -> None:
        self.started = time.perf_counter()
        metrics.count_hand_off_of_task(self.fields["correlation_id"])
        logger.info("%s START", self.name, extra={"hop": "worker", **self.fields}, stacklevel=2)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration_ms = round((time.perf_counter() - self.started) * 1000, 3)
        extra = {**self.fields, "duration_ms": duration_ms}
        if error is None:
            logger.info("%s COMPLETE", self.name, extra=extra)
        elif isinstance(error, SystemExit):  # how a pool's process ends a task that it is told to stop
            reasons = "cancelled, over its time limit, or its worker is shutting down"
            logger.warning("%s STOPPED: %s", self.name, reasons, extra=extra)
        else:
            logger.error("%s FAILED: %s", self.name, error, extra=extra)
