"""The API's messages on a real Redis: each thread sends through a producer of its own, which outlives a connection."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from redis import Redis
from taskqueue import producer


def test_a_thread_keeps_its_producer_and_client_and_sends_again_after_its_connection_was_cut(redis: Redis) -> None:
    port = redis.connection_pool.connection_kwargs["port"]
    app = producer.Producer("test", backend="disabled://")
    app.conf.update({**producer.celery_app.conf.changes, "broker_url": f"redis://127.0.0.1:{port}/0"})

    def send(task_id: str) -> tuple[object, object]:
        app.send_task("tasks.calculate_var", kwargs={"correlation_id": "X"}, task_id=task_id, queue="high")
        with app.own_producer().channel.conn_or_acquire() as client:
            return app.own_producer(), client

    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        before = one.submit(send, "a").result()
        redis.client_kill_filter(_type="normal", skipme=True)
        assert one.submit(send, "b").result() == before
        assert other.submit(send, "c").result()[0] is not before[0]
    sent = [json.loads(text)["headers"]["id"] for text in redis.lrange("high", 0, -1)]
    assert sent == ["c", "b", "a"]
