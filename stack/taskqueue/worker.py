"""The Celery application of the workers."""

from __future__ import annotations

import contextlib
import logging
import pathlib
import time
from collections.abc import Collection
from typing import Any

from billiard.util import get_logger
from celery import Celery, bootsteps
from celery.signals import celeryd_init, setup_logging, task_postrun, task_prerun
from redis.exceptions import RedisError

from taskqueue import broker, logs, metrics
from taskqueue.contract import HOLD_KEY, QUEUES, WORKER_KEY
from taskqueue.queues import queues
from taskqueue.reliability import guard, lease
from taskqueue.reliability.reconciler import LOOK_SECONDS, Reconciler
from taskqueue.settings import RESULT_TTL_SECONDS, settings

logs.configure()
logger = logging.getLogger("taskqueue")

HEARTBEAT_SECONDS = 0.5
HEARTBEAT_EXPIRES_SECONDS = 7
WORKER_ALIVE = f"{WORKER_KEY}{settings.service_name}"
READY_FILE = pathlib.Path(settings.ready_file)

app = Celery("worker", broker=settings.redis_url, backend=settings.redis_url)
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_accept_content=["json"],
    result_expires=RESULT_TTL_SECONDS,
    task_queues=queues,
    task_create_missing_queues=False,
    task_default_queue="medium",  # Celery looks this one up whatever queue is named
    worker_hijack_root_logger=False,
    worker_send_task_events=True,
    broker_connection_retry_on_startup=True,
    imports=["taskqueue.rehearsal"],
)
if settings.durable:
    app.task_cls = "taskqueue.reliability.task:DurableTask"
    app.conf.update(
        result_backend_always_retry=True,
        task_track_started=False,  # the claim writes STARTED: a message that came twice must not
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=60,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        broker_connection_max_retries=None,
        broker_transport_options={
            "queue_order_strategy": "priority",  # the queues in the order named: high, medium, low
            "visibility_timeout": 3600,  # longer than any retry waits; a killed worker's tasks are not left to it
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 10,
            "socket_timeout": 3,
            "socket_connect_timeout": 1,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
    )
    guard.install(app)


class Heartbeat(bootsteps.StartStopStep):
    """While the worker consumes from all queues, keep its ready file and its key in Redis fresh for health checks.

    While HOLD_KEY exists the worker consumes nothing and has no key. The hold expires, so it ends even if the process
    that set it was killed.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.timer: Any = None

    def start(self, consumer: Any) -> None:
        self.started = time.time()
        self.beat(consumer)
        self.timer = consumer.timer.call_repeatedly(HEARTBEAT_SECONDS, self.beat, (consumer,))

    def beat(self, consumer: Any) -> None:
        try:
            # Not the consumer's own Redis client: its connection has a BRPOP outstanding.
            held = bool(broker.client.exists(HOLD_KEY))
            consume(consumer, () if held else QUEUES)
            if held:
                broker.client.delete(WORKER_ALIVE)
            else:
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


def consume(consumer: Any, wanted: Collection[str]) -> None:
    """Have the worker consume from the `wanted` queues and from no other of ours."""
    now = {queue.name for queue in consumer.task_consumer.queues}
    for queue in QUEUES:
        if queue in now and queue not in wanted:
            consumer.cancel_task_queue(queue)
        elif queue in wanted and queue not in now:
            consumer.add_task_queue(queue)


class Ledger(bootsteps.StartStopStep):
    """While the worker consumes, have it look once a second for what must be sent again."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.timer: Any = None
        self.reconciler = Reconciler(app)

    def start(self, consumer: Any) -> None:
        self.timer = consumer.timer.call_repeatedly(LOOK_SECONDS, self.look)

    def look(self) -> None:
        try:
            self.reconciler.look()
        except RedisError as error:
            logger.warning("Not reconciled: Redis does not answer: %s", error)

    def stop(self, consumer: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()


app.steps["consumer"].add(Heartbeat)
if settings.durable:
    app.steps["consumer"].add(Ledger)


@celeryd_init.connect
def keep_lease(**_: Any) -> None:
    """Hold the lease from before the first claim until the process ends."""
    if settings.durable:
        lease.keep()


@celeryd_init.connect
def serve_metrics(**_: Any) -> None:
    """Serve the metrics of all processes of this worker, before the first one is forked."""
    if settings.metrics_address:
        metrics.serve_worker(settings.metrics_address)


@task_prerun.connect
def note_start(task: Any, **_: Any) -> None:
    """Note when a run begins."""
    task.request.began = time.perf_counter()


@task_postrun.connect
def count_run(task: Any, state: str | None, **_: Any) -> None:
    """Count a run by how it ended; one without a claim has no state."""
    metrics.count_run(task.name, state or "IGNORED", time.perf_counter() - task.request.began)


@setup_logging.connect
def leave_logging_alone(**_: Any) -> None:
    """Keep Celery from configuring logs of its own: it does not as long as this signal has a receiver."""
    get_logger().propagate = True  # what the pool tells of its processes would else be no JSON
