"""The Grafana dashboard as code: `stack/prometheus/grafana.json` is what this returns."""

from __future__ import annotations

from typing import Any

# A row of the dashboard: title, unit, and what is drawn, each with its legend.
PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Requests", "reqps", (("sum by (status) (rate(clew_http_requests_total[1m]))", "{{status}}"),)),
    ("Errors of ours", "percentunit", (("clew:errors:ratio1m", "share"),)),
    (
        "Answer time",
        "s",
        (("clew:request_seconds:p50_1m", "median"), ("clew:request_seconds:p99_1m", "p99")),
    ),
    (
        "Backlog",
        "short",
        (("max by (queue) (clew_queue_messages)", "{{queue}}"), ("max(clew_tasks_waiting)", "waiting")),
    ),
    (
        "Waiting time",
        "s",
        (("clew:task_waiting_seconds:p99_1m", "p99"), ("max(clew_oldest_task_seconds)", "oldest task")),
    ),
    ("Runs of tasks", "ops", (("sum by (state) (rate(clew_tasks_total[1m]))", "{{state}}"),)),
    ("Trail: IDs lost", "percentunit", (("clew:ids_lost:ratio1m", "{{hop}}"),)),
    ("Trail: hand-offs", "ops", (("clew:hop_ids:rate1m", "{{hop}} {{verdict}}"),)),
    (
        "Workers, breaker, dead letters",
        "short",
        (
            ("max(clew_workers_alive)", "workers alive"),
            ('max(clew_breaker_open{breaker="admission"})', "breaker"),
            ("max(clew_dead_letters)", "dead letters"),
        ),
    ),
    ("Redis memory", "bytes", (("redis_memory_used_bytes", "used"),)),
)
WIDTH, HEIGHT, COLUMNS = 8, 8, 3


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    panels = [
        {
            "id": number + 1,
            "type": "timeseries",
            "title": title,
            "datasource": source,
            "gridPos": {"h": HEIGHT, "w": WIDTH, "x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
            "targets": [
                {"refId": chr(65 + index), "expr": expression, "legendFormat": legend, "datasource": source}
                for index, (expression, legend) in enumerate(queries)
            ],
        }
        for number, (title, unit, queries) in enumerate(PANELS)
    ]
    return {
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "uid": "clew",
        "title": "Clew: nine services and a trail",
        "tags": ["clew"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "panels": panels,
        "templating": {"list": []},
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "enable": True,
                    "iconColor": "red",
                    "datasource": source,
                    "expr": 'ALERTS{alertstate="firing"}',
                    "titleFormat": "{{alertname}} {{hop}}",
                }
            ]
        },
    }
