"""Messages and tasks that no worker will run again: kept with their reason, to be looked at, sent again or dropped."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from taskqueue import broker
from taskqueue.contract import DEAD_LETTERS_KEY


def add(reason: str, *, queue: str, content: Any, task_id: str | None = None, correlation_id: str | None = None) -> str:
    """Keep a message or a task; return the ID of the dead letter."""
    letter = {
        "id": uuid.uuid4().hex,
        "at": time.time(),
        "reason": reason,
        "queue": queue,
        "task_id": task_id,
        "correlation_id": correlation_id,
        "content": content,
    }
    broker.client.hset(DEAD_LETTERS_KEY, letter["id"], json.dumps(letter))
    return str(letter["id"])
