"""What a service counts for Prometheus: requests, tasks, waiting times, and per hop what became of the correlation ID.

An API server serves its figures at /metrics, next to its API; a worker at METRICS_ADDRESS, for all of its processes
together: each writes into files in PROMETHEUS_MULTIPROC_DIR. nginx passes nobody on to /metrics.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # before the library is imported, which looks for it
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    multiprocess,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from taskqueue import broker
from taskqueue.contract import DEAD_LETTERS_KEY
from taskqueue.correlation import is_valid
from taskqueue.reliability import breaker, intake, keys

SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LONGEST_EXEMPLAR = 100  # characters; OpenMetrics allows 128 with the label's name

REQUESTS = Counter("clew_http_requests", "Answers of this server.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("clew_http_request_seconds", "From a request to its answer.", ["route"], buckets=SECONDS)
HOP_IDS = Counter(
    "clew_hop_ids",
    "Hand-offs by what became of the ID: kept, replaced, missing; at nginx also refused: it is not allowed.",
    ["hop", "verdict"],
)
TASKS = Counter("clew_tasks", "Runs of tasks by how they ended.", ["task", "state"])
TASK_SECONDS = Histogram("clew_task_seconds", "How long a run of a task took.", ["task"], buckets=SECONDS)
WAITING_SECONDS = Histogram(
    "clew_task_waiting_seconds", "From a task's acceptance to its first run.", ["task"], buckets=SECONDS
)


def count_hand_off(hop: str, handed_on: Any, given: Any) -> None:
    """Count what a layer does with the ID that it was given: hands it on, hands on another one, or none."""
    verdict = "missing" if not handed_on else "kept" if handed_on == given or not given else "replaced"
    HOP_IDS.labels(hop, verdict).inc()


def count_hand_off_of_request(hop: str, handed_on: Any) -> None:
    """Count a layer of the API, which was given the ID of the request being answered."""
    count_hand_off(hop, handed_on, intake.current().request_id)


def count_hand_off_of_task(handed_on: Any) -> None:
    """Count the worker, which was given the ID in the message."""
    from celery import current_task

    kwargs = getattr(current_task, "request", None) and current_task.request.kwargs
    count_hand_off("worker", handed_on, kwargs.get("correlation_id") if isinstance(kwargs, dict) else None)


def count_nginx(received: str | None, handed_on: str) -> None:
    """Count nginx: `received` is what the client sent, as nginx says; None when it sent none or did not ask nginx."""
    if received is not None and is_valid(received):
        count_hand_off("nginx", handed_on, received)
    elif received is not None:
        HOP_IDS.labels("nginx", "refused").inc()


def count_request(method: str, route: str, status: int, seconds: float, correlation_id: str) -> None:
    """Count an answer; its time has the request's ID as exemplar."""
    REQUESTS.labels(method, route, status).inc()
    exemplar = {"correlation_id": correlation_id} if len(correlation_id) <= LONGEST_EXEMPLAR else None
    REQUEST_SECONDS.labels(route).observe(seconds, exemplar)


def count_run(task: str, state: str, seconds: float) -> None:
    """Count a run of a task, and how long it took."""
    TASKS.labels(task, state).inc()
    TASK_SECONDS.labels(task).observe(seconds)


class Broker(Collector):
    """What Redis knows, asked at each scrape: how much waits, who is alive, the breakers, the dead letters."""

    def describe(self) -> list[Metric]:
        """Return nothing: without this, Redis would be asked when the collector is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; while Redis is away only that it is."""
        try:
            depths, workers = broker.depths(), broker.alive_workers()
            letters = broker.client.hlen(DEAD_LETTERS_KEY)
            oldest: Any = broker.client.zrange(keys.ACCEPTED, 0, 0, withscores=True)
            states = breaker.states()
        except RedisError:
            yield _gauge("clew_redis_up", "Whether Redis answers.", 0)
            return
        yield _gauge("clew_redis_up", "Whether Redis answers.", 1)
        queued = GaugeMetricFamily("clew_queue_messages", "Messages on a queue.", labels=["queue"])
        for queue, depth in depths.items():
            queued.add_metric([queue], depth)
        yield queued
        yield _gauge(
            "clew_tasks_waiting", "Accepted tasks that no worker runs yet.", states["admission"]["waiting"] or 0
        )
        age = max(0.0, time.time() - oldest[0][1] / 1000) if oldest else 0
        yield _gauge("clew_oldest_task_seconds", "How long ago the oldest unfinished task was accepted.", age)
        yield _gauge("clew_workers_alive", "Workers whose heartbeat has not expired.", len(workers))
        yield _gauge("clew_dead_letters", "Messages and tasks that no worker will run again.", letters)
        opened = GaugeMetricFamily("clew_breaker_open", "1 open, 0.5 half-open, 0 closed.", labels=["breaker"])
        for name in ("admission", "redis"):
            opened.add_metric([name], {"open": 1, "half-open": 0.5}.get(states[name]["state"], 0))
        yield opened


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=value)


def exposition(accept: str) -> tuple[bytes, str]:
    """Return this process's figures in the format that a client accepts, and its content type.

    With OpenMetrics they include exemplars.
    """
    encoder, content_type = choose_encoder(accept)
    return encoder(REGISTRY), content_type


def watch_broker() -> None:
    """Serve what Redis knows, too."""
    REGISTRY.register(Broker())


def serve_worker(address: str) -> None:
    """Serve the figures of all of a worker's processes at `host:port`, from a thread of its main process."""
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    start_http_server(int(port), host, registry)
