"""Redis as the API and the workers see it: the depth of each queue, the state of each task, which workers are alive."""

from __future__ import annotations

import json
from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

import redis
from taskqueue.contract import QUEUES, WORKER_KEY, WORKERS
from taskqueue.settings import RESULT_TTL_SECONDS, settings

# Together less than the second after which nginx asks another server, so that a client is told what is wrong.
CONNECT_SECONDS = 0.3
ANSWER_SECONDS = 0.5

client = redis.Redis.from_url(
    settings.redis_url,
    decode_responses=True,
    socket_timeout=ANSWER_SECONDS,
    socket_connect_timeout=CONNECT_SECONDS,
    health_check_interval=10,
    retry=Retry(NoBackoff(), 0),
)


def state_key(task_id: str) -> str:
    return f"celery-task-meta-{task_id}"  # where Celery's Redis result backend keeps a task's state


def encoded_state(task_id: str, status: str, result: dict[str, Any] | None = None) -> str:
    """Return a task's state as Celery's result backend stores it."""
    state: dict[str, Any] = {"task_id": task_id, "status": status, "result": result, "traceback": None, "children": []}
    return json.dumps(state)


def write_state(task_id: str, status: str, result: dict[str, Any] | None = None) -> None:
    """Store a task's state; of FAILURE the result has `exc_type` and `exc_message`, as Celery's has."""
    client.set(state_key(task_id), encoded_state(task_id, status, result), ex=RESULT_TTL_SECONDS)


def state_of(task_id: str) -> dict[str, Any] | None:
    """Return the task's state as Celery's result backend stores it, or None for an ID that was never given out."""
    stored = client.get(state_key(task_id))
    return None if stored is None else json.loads(str(stored))


def depths() -> dict[str, int]:
    """Count the messages on each queue."""
    with client.pipeline(transaction=False) as pipeline:
        for queue in QUEUES:
            pipeline.llen(queue)
        return dict(zip(QUEUES, pipeline.execute(), strict=True))


def alive_workers() -> list[str]:
    """Return the names of the workers whose heartbeat has not expired."""
    beats = client.mget([f"{WORKER_KEY}{worker}" for worker in WORKERS])
    return [worker for worker, beat in zip(WORKERS, beats, strict=True) if beat is not None]
