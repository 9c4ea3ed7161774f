"""The Celery application that Flower watches."""

from __future__ import annotations

from celery import Celery

from taskqueue import logs
from taskqueue.settings import settings

logs.configure()
app = Celery("monitor", broker=settings.redis_url)
