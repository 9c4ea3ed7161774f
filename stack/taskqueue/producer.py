"""The Celery application of the API: it only sends, so it has no result back end and gives up quickly."""

from __future__ import annotations

from celery import Celery

from taskqueue.queues import queues
from taskqueue.settings import settings

celery_app = Celery("api", broker=settings.redis_url, backend="disabled://")
celery_app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_queues=queues,
    task_create_missing_queues=False,
    # Without these a POST blocks for many seconds while Redis is away instead of answering 503.
    task_publish_retry=False,
    broker_transport_options={
        "socket_timeout": 1,
        "socket_connect_timeout": 0.5,
        "retry_on_timeout": False,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
        "interval_max": 0,
    },
)
