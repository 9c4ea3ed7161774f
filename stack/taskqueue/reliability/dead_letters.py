"""Messages and tasks that no worker will run again: kept with their reason, to be looked at, sent again or dropped.

A dead letter is a malformed message (guard.py), or a task that has ended too many runs (task.py). Malformed messages
come from outside, so the oldest of more than MAX_MESSAGES are dropped; a task was accepted, so it stays until a person
decides.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import time
import uuid
from typing import Any

from taskqueue import broker
from taskqueue.contract import DEAD_LETTERS_KEY, QUEUES
from taskqueue.reliability import breaker, keys
from taskqueue.reliability.ledger import Entry, script
from taskqueue.settings import RESULT_TTL_SECONDS

logger = logging.getLogger("taskqueue")

MAX_MESSAGES = 500
MAX_CONTENT_BYTES = 64 * 1024  # of a longer message only its head is kept
SHOWN_CHARACTERS = 1000
MESSAGES = f"{DEAD_LETTERS_KEY}:messages"  # sorted set: ID of a malformed message by when it came

_add_message, _requeue_message, _requeue_task = map(script, ("dead_message", "requeue_message", "requeue_task"))


def add(reason: str, *, queue: str, content: Any, task_id: str | None = None, correlation_id: str | None = None) -> str:
    """Keep a malformed message (`content` is its bytes) or a task (`content` is its ledger entry as a list).

    Return the dead letter's ID: a task's is its own, so that a task is there once, however often it is added.

    Raises:
        redis.RedisError: Redis is away.
    """
    letter: dict[str, Any] = {
        "kind": "message" if isinstance(content, bytes) else "task",
        "at": round(time.time(), 3),
        "reason": reason,
        "queue": queue,
        "task_id": task_id,
        "correlation_id": correlation_id,
    }
    if not isinstance(content, bytes):
        letter |= {"id": task_id, "content": content, "size": len(json.dumps(content)), "complete": True}
        broker.client.hset(DEAD_LETTERS_KEY, str(task_id), json.dumps(letter))
        return str(task_id)
    letter |= {
        "id": uuid.uuid4().hex,
        "content": base64.b64encode(content[:MAX_CONTENT_BYTES]).decode(),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "complete": len(content) <= MAX_CONTENT_BYTES,
    }
    arguments = [letter["id"], json.dumps(letter), letter["at"], MAX_MESSAGES]
    for dropped in _add_message(keys=[DEAD_LETTERS_KEY, MESSAGES], args=arguments, client=broker.client):
        logger.warning("Dead letter dropped: there are more than %d", MAX_MESSAGES, extra={"dead_letter": dropped})
    return str(letter["id"])


def all() -> list[dict[str, Any]]:
    """Return every dead letter, the oldest first.

    Each has `id`, `kind` ("message" or "task"), `at` (seconds since the epoch), `reason`, `queue`, `task_id` and
    `correlation_id` (or None), `content` (text, at most its first SHOWN_CHARACTERS), `size` in bytes, `sha256` of the
    whole message (None for a task), and `complete`: whether all of it was kept, so that it can be sent again.

    Raises:
        redis.RedisError: Redis is away.
    """
    letters = [json.loads(str(text)) for text in broker.client.hvals(DEAD_LETTERS_KEY)]
    return [_shown(letter) for letter in sorted(letters, key=lambda letter: letter["at"])]


def requeue(letter_id: str) -> dict[str, Any]:
    """Send a dead letter again; return it as `all` does. A task is accepted again, its runs counted from one.

    Raises:
        KeyError: there is no such dead letter.
        ValueError: it cannot be sent again, or not now; the text says why.
        redis.RedisError: Redis is away.
    """
    letter = _letter(letter_id)
    if letter["kind"] == "task":
        _requeue(letter_id, Entry(*letter["content"]))
    elif not letter["complete"]:
        raise ValueError(f"Only the first {MAX_CONTENT_BYTES // 1024} KiB of this message were kept: drop it.")
    elif letter["queue"] not in QUEUES:
        raise ValueError(f"This message was not on a queue but in {letter['queue']}: drop it.")
    else:
        raw = base64.b64decode(letter["content"])
        if not _requeue_message(
            keys=[DEAD_LETTERS_KEY, MESSAGES], args=[letter_id, raw, letter["queue"]], client=broker.client
        ):
            raise KeyError(letter_id)
    extra = {name: letter[name] for name in ("queue", "task_id", "correlation_id")}
    logger.warning("Dead letter sent again", extra={"dead_letter": letter_id, **extra})
    return _shown(letter)


def drop(letter_id: str) -> dict[str, Any]:
    """Remove a dead letter for good; return it as `all` does.

    Raises:
        KeyError: there is no such dead letter.
        redis.RedisError: Redis is away.
    """
    letter = _letter(letter_id)
    with broker.client.pipeline(transaction=True) as pipeline:
        pipeline.hdel(DEAD_LETTERS_KEY, letter_id)
        pipeline.zrem(MESSAGES, letter_id)
        if not pipeline.execute()[0]:
            raise KeyError(letter_id)
    logger.warning("Dead letter dropped", extra={"dead_letter": letter_id, "task_id": letter["task_id"]})
    return _shown(letter)


def _requeue(task_id: str, entry: Entry) -> None:
    names = [DEAD_LETTERS_KEY, keys.TASKS, keys.ACCEPTED, keys.RUNNING, keys.ATTEMPTS, keys.DUE]
    pending = broker.encoded_state(task_id, "PENDING")
    arguments = [task_id, json.dumps(entry), pending, RESULT_TTL_SECONDS, breaker.WAITING_LIMIT]
    verdict = _requeue_task(keys=[*names, broker.state_key(task_id)], args=arguments, client=broker.client)
    if verdict == "UNKNOWN":
        raise KeyError(task_id)
    if verdict == "FULL":
        raise ValueError(f"{breaker.WAITING_LIMIT} tasks are waiting, which is the limit: try again later.")
    if verdict == "BUSY":
        raise ValueError("The task is still in the ledger: try again in a few seconds.")
    # Not at the top: in a worker the API's Celery application would become the current one.
    from taskqueue.producer import celery_app

    celery_app.send_task(entry.task_name, kwargs=entry.kwargs, task_id=task_id, queue=entry.queue)


def _letter(letter_id: str) -> dict[str, Any]:
    stored = broker.client.hget(DEAD_LETTERS_KEY, letter_id)
    if stored is None:
        raise KeyError(letter_id)
    return dict(json.loads(str(stored)))


def _shown(letter: dict[str, Any]) -> dict[str, Any]:
    if letter["kind"] == "task":
        text = json.dumps(letter["content"])
    else:
        text = base64.b64decode(letter["content"]).decode(errors="backslashreplace")
    return {**letter, "content": text[:SHOWN_CHARACTERS], "sha256": letter.get("sha256")}
