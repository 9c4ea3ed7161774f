"""The raw Celery message as it lies in Redis, and where in it the correlation ID is, or would be."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from celery import Celery
from kombu import pools
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.evidence import client
from clew.stacks.drivers import driver_of
from clew.stacks.lifecycle import only_one
from clew.stacks.ready import redis_client
from clew.stacks.services import REDIS, WORKERS
from clew.stacks.stack import Stack
from taskqueue.contract import QUEUES

SECONDS = 15


@contextlib.contextmanager
def nobody_consuming(stack: Stack) -> Iterator[None]:
    """Tell the workers to stop consuming, wait until they did, and let them go on at the end.

    Pausing a worker would not do: it has a BRPOP outstanding, and Redis would hand it the next message all the same.
    """
    app = Celery(broker=f"redis://127.0.0.1:{stack.ports[REDIS]}/0")
    app.conf.broker_transport_options = {"socket_timeout": 3, "socket_connect_timeout": 1, "max_retries": 1}
    nodes = [f"celery@{worker}" for worker in WORKERS]

    def tell(command: str) -> int:
        answered = len(nodes)
        for queue in QUEUES:
            arguments: dict[str, Any] = {"queue": queue}
            if command == "add_consumer":
                arguments |= {"exchange": queue, "routing_key": queue}
            replies = app.control.broadcast(
                command, arguments, destination=nodes, reply=True, timeout=5, limit=len(nodes)
            )
            answered = min(answered, len(replies))
        return answered

    def require_all(answered: int, what: str) -> None:
        if answered < len(nodes):
            raise ClewError(
                f"Only {answered} of {len(nodes)} workers answered that they {what}.", stack.command("status")
            )

    try:
        with only_one(stack), app, redis_client(stack) as redis:
            try:
                require_all(tell("cancel_consumer"), "stop consuming")
                wait_until(
                    lambda: not any("b" in connection["flags"] for connection in redis.client_list()),
                    SECONDS,
                    "the workers to end their last BRPOP",
                    stack.command("status"),
                    every=0.05,
                )
                yield
            except BaseException:
                with contextlib.suppress(OperationalError):  # the first error is the one to tell
                    tell("add_consumer")
                raise
            require_all(tell("add_consumer"), "consume again")
    except (OperationalError, RedisError) as error:
        raise ClewError(f"Redis does not answer: {str(error).rstrip('.')}.", stack.command("up")) from None
    finally:
        pools.reset()  # type: ignore[no-untyped-call] # they outlive the app, and would hand these connections to a Redis that was started anew


def message(stack: Stack, correlation_id: str | None = None, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send one task request, and take a look at its message before a worker may have it.

    Returns the message: `queue`, `properties`, `headers`, and the decoded body as `args`, `kwargs`, `embed`; with it
    `sent_id`, `task_id` and `id_at`, where in the message the sent ID is (None: nowhere).

    Raises:
        ClewError: the stack is not up, its workers do not answer, or the message does not turn up.
    """
    driver_of(stack)
    with nobody_consuming(stack), redis_client(stack) as redis:
        answer = client.send_task(stack, correlation_id, body)
        for queue in QUEUES:
            for raw in redis.lrange(queue, 0, -1):
                envelope = json.loads(raw)
                if envelope["headers"]["id"] == answer.task_id:
                    found = decode(envelope)
                    return {
                        "sent_id": answer.sent_id,
                        "task_id": answer.task_id,
                        "queue": queue,
                        **found,
                        "id_at": place_of(found, answer.sent_id),
                    }
    raise ClewError(f"The message of task {answer.task_id} is on no queue.", stack.command("status"))


def decode(envelope: dict[str, Any]) -> dict[str, Any]:
    """Return a message (Celery's protocol 2) with its base64 body decoded into args, kwargs and embed."""
    args, kwargs, embed = json.loads(base64.b64decode(envelope["body"]))
    return {
        "properties": envelope["properties"],
        "headers": envelope["headers"],
        "args": args,
        "kwargs": kwargs,
        "embed": embed,
    }


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
