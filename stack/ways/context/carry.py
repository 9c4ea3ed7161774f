"""The ID in a context variable. From process to process it travels in a header of Celery's message."""

import logging
import uuid
from contextvars import ContextVar

from celery.signals import before_task_publish, task_postrun, task_prerun

HEADER = "x_correlation_id"
current_id = ContextVar("current_id", default=None)


class Remember:
    """Pure ASGI middleware: while a request is answered, the variable has its ID."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = current_id.set(scope["state"]["correlation_id"])
        try:
            await self.app(scope, receive, send)
        finally:
            current_id.reset(token)


@before_task_publish.connect
def put_into_message(headers, **_):
    if current_id.get():
        headers[HEADER] = current_id.get()


@task_prerun.connect
def take_from_message(task, **_):
    task.request.reset_id = current_id.set(task.request.get(HEADER) or uuid.uuid4().hex)


@task_postrun.connect
def forget(task, **_):
    current_id.reset(task.request.reset_id)


class AddId(logging.Filter):
    def filter(self, record):
        if current_id.get() and not getattr(record, "correlation_id", None):
            record.correlation_id = current_id.get()
        return True


def show_in_logs():
    for handler in logging.getLogger().handlers:
        handler.addFilter(AddId())
