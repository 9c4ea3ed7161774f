"""The Celery application of the workers."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import time
from typing import Any

from celery import Celery, bootsteps
from celery.signals import setup_logging
from redis.exceptions import RedisError

from taskqueue import broker, logs
from taskqueue.contract import QUEUES, WORKER_KEY
from taskqueue.queues import queues
from taskqueue.settings import RESULT_TTL_SECONDS, settings

logs.configure()
logger = logging.getLogger("taskqueue")

HEARTBEAT_SECONDS = 2.0
HEARTBEAT_EXPIRES_SECONDS = 7
WORKER_ALIVE = f"{WORKER_KEY}{settings.service_name}"
READY_FILE = pathlib.Path(settings.ready_file)

app = Celery("worker", broker=settings.redis_url, backend=settings.redis_url)
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_accept_content=["json"],
    result_expires=RESULT_TTL_SECONDS,
    result_backend_always_retry=True,
    task_queues=queues,
    task_create_missing_queues=False,
    task_track_started=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=60,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "queue_order_strategy": "priority",  # the queues in the order named: high, medium, low
        "visibility_timeout": 300,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": 10,
        "socket_timeout": 3,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "health_check_interval": 5,
    },
)


class Heartbeat(bootsteps.StartStopStep):
    """While the worker consumes from all queues, keep its ready file and its key in Redis fresh for health checks."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.timer: Any = None

    def start(self, consumer: Any) -> None:
        self.started = time.time()
        self.beat()
        self.timer = consumer.timer.call_repeatedly(HEARTBEAT_SECONDS, self.beat)

    def beat(self) -> None:
        if not app.amqp.queues.consume_from.keys() >= set(QUEUES):
            return  # it was told to leave some alone, so what it last said expires
        try:
            # Not the consumer's own Redis client: its connection has a BRPOP outstanding.
            broker.client.set(WORKER_ALIVE, self.started, ex=HEARTBEAT_EXPIRES_SECONDS)
        except RedisError as error:
            logger.warning("No heartbeat: Redis does not answer: %s", error)
        else:
            READY_FILE.touch()

    def stop(self, consumer: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
        READY_FILE.unlink(missing_ok=True)
        with contextlib.suppress(RedisError):
            broker.client.delete(WORKER_ALIVE)


app.steps["consumer"].add(Heartbeat)


@setup_logging.connect
def leave_logging_alone(**_: Any) -> None:
    """Keep Celery from configuring logs of its own: it does not as long as this signal has a receiver."""
