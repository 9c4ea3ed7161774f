"""Redis as the API sees it: the depth of each queue, the state of each task, and which workers are alive."""

from __future__ import annotations

import json
from typing import Any

import redis
from taskqueue.contract import QUEUES, WORKER_KEY, WORKERS
from taskqueue.settings import RESULT_TTL_SECONDS, settings

client = redis.Redis.from_url(
    settings.redis_url, decode_responses=True, socket_timeout=1, socket_connect_timeout=0.5, health_check_interval=10
)


def _state_key(task_id: str) -> str:
    return f"celery-task-meta-{task_id}"  # where Celery's Redis result backend keeps a task's state


def remember(task_id: str) -> None:
    """Note that this task exists, so that an unknown ID can be distinguished from a waiting task."""
    _write_state(task_id, "PENDING")


def _write_state(task_id: str, status: str) -> None:
    state: dict[str, Any] = {"task_id": task_id, "status": status, "result": None, "traceback": None, "children": []}
    client.set(_state_key(task_id), json.dumps(state), ex=RESULT_TTL_SECONDS)


def state_of(task_id: str) -> dict[str, Any] | None:
    """Return the task's state as Celery's result backend stores it, or None for an ID that was never given out."""
    stored = client.get(_state_key(task_id))
    return None if stored is None else json.loads(str(stored))


def withdraw(task_id: str) -> bool:
    """Remove a task that no worker has fetched yet from its queue and mark it REVOKED; tell whether it was there."""
    for queue in QUEUES:
        for message in map(str, client.lrange(queue, 0, -1)):
            if _task_of(message) == task_id and client.lrem(queue, 1, message):
                _write_state(task_id, "REVOKED")
                return True
    return False


def _task_of(message: str) -> str | None:
    """Return the task ID of a message; None if it is not a message of Celery's."""
    try:
        task_id = json.loads(message)["headers"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(task_id)


def depths() -> dict[str, int]:
    """Count the messages waiting on each queue."""
    with client.pipeline(transaction=False) as pipeline:
        for queue in QUEUES:
            pipeline.llen(queue)
        return dict(zip(QUEUES, pipeline.execute(), strict=True))


def alive_workers() -> list[str]:
    """Return the names of the workers whose heartbeat has not expired."""
    beats = client.mget([f"{WORKER_KEY}{worker}" for worker in WORKERS])
    return [worker for worker, beat in zip(WORKERS, beats, strict=True) if beat is not None]
