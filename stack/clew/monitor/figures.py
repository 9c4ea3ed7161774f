"""The figures that a person is shown, each as a query: the same as the Grafana dashboard's."""

from __future__ import annotations

from typing import NamedTuple

from clew import ladder
from clew.core.wait import wait_until
from clew.monitor.prometheus import Monitor

ONE = {
    "requests a second": "clew:requests:rate1m",
    "answered with an error of ours": "clew:errors:ratio1m",
    "answer time, median": "clew:request_seconds:p50_1m",
    "answer time, p99": "clew:request_seconds:p99_1m",
    "waiting time, p99": "clew:task_waiting_seconds:p99_1m",
    "tasks waiting": "max(clew_tasks_waiting)",
    "age of the oldest task": "max(clew_oldest_task_seconds)",
    "workers alive": "max(clew_workers_alive)",
    "dead letters": "max(clew_dead_letters)",
    "breaker": 'max(clew_breaker_open{breaker="admission"})',
    "Redis memory": "redis_memory_used_bytes",
    "connections of nginx": "nginx_connections_active",
}
SCRAPES = 4
IN_SECONDS = ("answer time, median", "answer time, p99", "waiting time, p99", "age of the oldest task")


class Figures(NamedTuple):
    """What Prometheus says at one moment: a value a figure, None when there is none, and a share a hop and verdict."""

    values: dict[str, float | None]
    hops: dict[str, dict[str, float]]
    alerts: list[dict[str, str]]


def figures(monitor: Monitor) -> Figures:
    """Ask for all figures.

    Raises:
        ClewError: Prometheus does not answer.
    """
    values: dict[str, float | None] = {}
    for name, query in ONE.items():
        found = [sample.value for sample in monitor.query(query) if sample.value == sample.value]  # NaN: nothing yet
        values[name] = found[0] if found else None
    hops: dict[str, dict[str, float]] = {hop: {} for hop in ladder.HOPS}
    for labels, value in monitor.query("clew:hop_ids:rate1m > 0"):
        hops[labels["hop"]][labels["verdict"]] = value
    firing = [sample.labels for sample in monitor.query('ALERTS{alertstate="firing"}')]
    return Figures(values, hops, firing)


def first(monitor: Monitor) -> Figures:
    """Ask for all figures once there is something to compare: a rate needs the second scrape.

    Raises:
        ClewError: Prometheus does not answer.
    """
    scrapes = "min(count_over_time(up[1m]))"

    def scraped() -> bool:
        return any(sample.value >= SCRAPES for sample in monitor.query(scrapes))

    wait_until(scraped, 30, f"{SCRAPES} scrapes", monitor.stack.command("metrics"), every=0.5)
    return figures(monitor)


def shown(name: str, value: float | None) -> str:
    """Return a figure as text."""
    if value is None:
        return "–"
    if name in IN_SECONDS:
        return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"
    if name == "answered with an error of ours":
        return f"{value:.1%}"
    if name == "Redis memory":
        return f"{value / 2**20:.1f} MiB"
    if name == "breaker":
        return {0: "closed", 0.5: "half-open", 1: "open"}.get(value, str(value))
    return f"{value:.1f}" if name == "requests a second" else f"{value:.0f}"
