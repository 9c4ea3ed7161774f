"""The Celery application of the API: it only sends, so it has no result back end and gives up quickly."""

from __future__ import annotations

import functools
import logging
import threading
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from taskqueue.queues import queues
from taskqueue.settings import settings

logger = logging.getLogger("taskqueue")


class Producer(Celery):
    """Sends messages that are only hints: the ledger has the task, and a worker sends a message again that is lost."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """Send a task's message; if the broker is away, log that it was not sent.

        Raises:
            kombu.exceptions.OperationalError: the broker is away, with the stock settings, where there is no ledger.
        """
        try:
            if settings.durable:
                options = {"producer": self.own_producer(), "declare": (), **options}  # the workers declare the queues
            return super().send_task(name, *args, **options)
        except (OperationalError, RedisError) as error:
            if not settings.durable:
                raise
            about = {"task_id": options.get("task_id"), "correlation_id": options["kwargs"].get("correlation_id")}
            logger.warning("Message not sent, a worker will send it: %s", error, extra=about)
            return None

    def own_producer(self) -> Any:
        """Return the producer of the thread that asks, with one client of Redis; Celery makes one for each message."""
        if not hasattr(_of_thread, "producer"):
            producer = self.amqp.Producer(self.connection_for_write(), auto_declare=False)
            producer.channel.Client = functools.cache(producer.channel.Client)
            _of_thread.producer = producer
        return _of_thread.producer


_of_thread = threading.local()
celery_app = Producer("api", broker=settings.redis_url, backend="disabled://")
celery_app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_queues=queues,
    task_create_missing_queues=False,
    task_default_queue="medium",  # Celery looks this one up whatever queue is named
    result_backend_thread_safe=True,  # else each new thread searches all installed packages for back ends
)
if settings.durable:
    celery_app.conf.update(
        # Without these a POST blocks for many seconds while Redis is away.
        task_publish_retry=False,
        broker_transport_options={
            "socket_timeout": 0.25,
            "socket_connect_timeout": 0.3,
            "retry_on_timeout": False,
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        },
    )
