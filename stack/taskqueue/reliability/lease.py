"""A worker's lease: the proof that the process that claimed a task still lives.

It is refreshed by a thread of its own, not by the loop that consumes: a worker that shuts down gracefully has stopped
consuming, and its tasks still run.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

import redis
from taskqueue.contract import LEASE_KEY
from taskqueue.settings import settings

EVERY_SECONDS = 0.5
LEASE_SECONDS = 5
# Inherited by the pool's processes, which are forked from this one.
OWNER = f"{settings.service_name}/{time.time():.3f}-{os.getpid()}"
KEY = f"{LEASE_KEY}{settings.service_name}"


def keep() -> None:
    """Refresh this process's lease until the process ends."""
    # A client of its own, and no log lines: a pool's process can be forked while this thread holds a lock.
    client = redis.Redis.from_url(
        settings.redis_url, socket_timeout=1, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0)
    )

    def refresh() -> None:
        pause = threading.Event()
        while True:
            with contextlib.suppress(RedisError):
                client.set(KEY, OWNER, px=LEASE_SECONDS * 1000)
            pause.wait(EVERY_SECONDS)

    threading.Thread(target=refresh, name="lease", daemon=True).start()
