"""The Celery application that Flower watches."""

from __future__ import annotations

from celery import Celery

from taskqueue import logs
from taskqueue.queues import queues
from taskqueue.settings import settings

logs.configure()
app = Celery("monitor", broker=settings.redis_url)
app.conf.update(task_queues=queues, task_default_queue="medium")  # the queues whose length Flower may ask for
