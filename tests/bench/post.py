"""A POST on stage 5, with all that makes it durable and searchable, compared with the bare Celery publish in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from children import POST, child, redis
from harness import Bench, Json, Ratio, Variants

PUBLISH = """
import os, itertools, uuid
import redis
from celery import Celery
from kombu.entity import Exchange, Queue
celery = Celery("bare", broker=os.environ["REDIS_URL"], backend="disabled://")
names = ("high", "medium", "low")
celery.conf.update(task_queues=[Queue(name, Exchange(name, type="direct"), routing_key=name) for name in names],
                   task_default_queue="medium")
client = redis.Redis.from_url(os.environ["REDIS_URL"])
numbers = itertools.count()
KWARGS = {"portfolio_data": {"positions": [{"symbol": "AAPL", "quantity": 100.0, "price": 150.0, "volatility": 0.25,
          "expected_return": 0.0}], "correlation": None}, "confidence_level": 0.95, "time_horizon": 10,
          "simulations": 100_000, "seed": None}
def before():
    client.flushdb()
async def once():
    kwargs = {**KWARGS, "correlation_id": f"bench-{next(numbers)}"}
    celery.send_task("tasks.calculate_var", kwargs=kwargs, task_id=str(uuid.uuid4()), queue="high")
"""


@contextlib.contextmanager
def opened(facts: Json) -> Iterator[Variants]:
    with redis() as port:
        url = f"redis://127.0.0.1:{port}/0"
        with (
            child(POST, 40, REDIS_URL=url) as post,
            child(PUBLISH, 80, REDIS_URL=url) as publish,
            child(PUBLISH, 80, REDIS_URL=url) as again,
        ):
            yield {"POST": post, "publish": publish, "publish again": again}


BENCH = Bench(
    "post",
    "CPU time of a POST on stage 5, compared with Celery's bare send_task",
    "µs CPU",
    opened,
    (Ratio("POST ÷ publish", "POST", "publish", 1.35),),
    ("publish", "publish again"),
    warm=4,
)
