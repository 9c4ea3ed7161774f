"""Layer 4: queue service. The only code of the API that speaks Celery: it puts the message on a queue in Redis."""

import uuid
from typing import Any

from taskqueue.logs import log_hand_off
from taskqueue.producer import celery_app
from taskqueue.reliability import ledger


def submit_task(
    task_name: str, task_data: dict[str, Any], queue: str, **_: Any
) -> str:
    """Send the message, whose kwargs are the arguments of the worker's task; return the task ID."""
    task_id = str(uuid.uuid4())
    kwargs = dict(task_data)

    ledger.accept(task_id, task_name, kwargs, queue)
    log_hand_off("queue-service", kwargs, task_id=task_id, queue=queue)
    celery_app.send_task(task_name, kwargs=kwargs, task_id=task_id, queue=queue)
    return task_id
