"""The raw Celery message in Redis, and where in it the correlation ID is, or would be."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import redis
from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.evidence import client
from clew.stacks import freshness
from clew.stacks.drivers import driver_of
from clew.stacks.lifecycle import only_one
from clew.stacks.ready import redis_client
from clew.stacks.services import WORKERS
from clew.stacks.stack import Stack
from taskqueue.contract import HOLD_KEY, QUEUES, WORKER_KEY

HOLD_SECONDS = 3  # after which a hold ends whose holder was killed
REFRESH_SECONDS = 0.5
STOP_SECONDS = 8
RESUME_SECONDS = 5


@contextlib.contextmanager
def nobody_consuming(stack: Stack) -> Iterator[None]:
    """Keep the workers from consuming: HOLD_KEY in Redis tells them to stop, and it expires unless it is refreshed.

    So a worker consumes again when this process ends in any way. Pausing a worker would not do: it has a BRPOP
    outstanding, and Redis would give it the next message all the same.

    Raises:
        ClewError: Redis does not answer, or a worker does not stop or does not consume again in time.
    """
    try:
        with only_one(stack), redis_client(stack, text=False) as client:
            before = _consuming(client)
            with _held(client):
                wait_until(
                    lambda: not _consuming(client) and not _brpop_outstanding(client),
                    STOP_SECONDS,
                    "the workers to stop consuming",
                    stack.command("status"),
                    every=0.05,
                )
                yield
            wait_until(
                lambda: before <= _consuming(client),
                RESUME_SECONDS,
                "the workers to consume again",
                stack.command("status"),
                every=0.05,
            )
    except redis.RedisError as error:
        raise ClewError(f"Redis does not answer: {str(error).rstrip('.')}.", stack.command("up")) from None


@contextlib.contextmanager
def _held(client: redis.Redis) -> Iterator[None]:
    ended = threading.Event()

    def refresh() -> None:
        while not ended.wait(REFRESH_SECONDS):
            with contextlib.suppress(redis.RedisError):  # whoever uses the hold sees the error too
                client.set(HOLD_KEY, "", px=HOLD_SECONDS * 1000)

    refresher = threading.Thread(target=refresh, daemon=True)
    client.set(HOLD_KEY, "", px=HOLD_SECONDS * 1000)
    refresher.start()
    try:
        yield
    finally:
        ended.set()
        refresher.join()
        with contextlib.suppress(redis.RedisError):  # then it expires
            client.delete(HOLD_KEY)


def _consuming(client: redis.Redis) -> set[str]:
    """Return the workers that consume; a worker whose hold began has no key."""
    values = client.mget([f"{WORKER_KEY}{worker}" for worker in WORKERS])
    return {worker for worker, value in zip(WORKERS, values, strict=True) if value is not None}


def _brpop_outstanding(client: redis.Redis) -> bool:
    return any("b" in connection["flags"] for connection in client.client_list())


def message(stack: Stack, correlation_id: str | None = None, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send one task request, and read its message before a worker can take it.

    Returns the message: `queue`, `properties`, `headers`, and the decoded body as `args`, `kwargs`, `embed`; with it
    `sent_id`, `task_id` and `id_at`, where in the message the sent ID is (None: nowhere).

    Raises:
        ClewError: the stack is not up or runs older files than those on disk, its workers do not stop consuming, or the
            message does not turn up.
    """
    freshness.require_current(stack, driver_of(stack))
    with nobody_consuming(stack), redis_client(stack, text=False) as queues:
        answer = client.send_task(stack, correlation_id, body)
        for queue in QUEUES:
            for raw in queues.lrange(queue, 0, -1):
                found = decode(raw)
                if found is not None and found["headers"].get("id") == answer.task_id:
                    known = {"sent_id": answer.sent_id, "task_id": answer.task_id, "queue": queue}
                    return {**known, **found, "id_at": place_of(found, answer.sent_id)}
    raise ClewError(f"The message of task {answer.task_id} is not on any queue.", stack.command("status"))


def decode(raw: bytes) -> dict[str, Any] | None:
    """Return a message (Celery's protocol 2) with its base64 body decoded into args, kwargs and embed.

    None for anything else: a queue may hold messages that other programs put there.
    """
    try:
        envelope = json.loads(raw)
        args, kwargs, embed = json.loads(base64.b64decode(envelope["body"]))
        properties, headers = envelope["properties"], envelope["headers"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(headers, dict):
        return None
    return {"properties": properties, "headers": headers, "args": args, "kwargs": kwargs, "embed": embed}


def place_of(value: Any, wanted: str, path: str = "") -> str | None:
    """Return the path to the first string in nested data that is `wanted`, None when there is none."""
    if isinstance(value, str):
        return path if value == wanted else None
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        step = f"{path}.{key}" if path else str(key)
        if (found := place_of(item, wanted, step)) is not None:
            return found
    return None
