"""What a service counts, what a person is shown of it, and how Prometheus's files are placed on this machine."""

from __future__ import annotations

import contextvars
import json
import threading
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fakeredis import FakeRedis
from prometheus_client import REGISTRY
from redis.exceptions import ConnectionError as RedisConnectionError

from clew.core.errors import ClewError
from clew.monitor import dashboard, figures, prometheus, recorded
from clew.monitor.prometheus import Receiver, Sample
from clew.show import metrics as shown_metrics
from clew.show import panels
from taskqueue import broker, metrics
from taskqueue.reliability import intake, keys


def counted(hop: str, verdict: str) -> float:
    return REGISTRY.get_sample_value("clew_hop_ids_total", {"hop": hop, "verdict": verdict}) or 0


@pytest.mark.parametrize(
    ("given", "handed_on", "verdict"),
    [
        ("A-1", "A-1", "kept"),
        ("A-1", "B-2", "replaced"),
        ("A-1", None, "missing"),
        ("A-1", "", "missing"),
        ("", "B", "kept"),
    ],
)
def test_a_hand_off_of_a_request_is_counted_by_its_verdict(given: str, handed_on: str | None, verdict: str) -> None:
    before = counted("routes", verdict)

    def answer() -> None:
        intake.begin(given, [])
        metrics.count_hand_off_of_request("routes", handed_on)

    contextvars.copy_context().run(answer)
    assert counted("routes", verdict) == before + 1


@pytest.mark.parametrize(
    ("received", "handed_on", "verdict"),
    [
        ("A-1", "A-1", "kept"),
        ("A-1", "0" * 32, "replaced"),
        ("A 1", "0" * 32, "refused"),
        ("x" * 129, "0" * 32, "refused"),
    ],
)
def test_nginx_is_counted_by_what_the_client_sent(received: str, handed_on: str, verdict: str) -> None:
    before = counted("nginx", verdict)
    metrics.count_nginx(received, handed_on)
    assert counted("nginx", verdict) == before + 1


def test_a_request_without_an_id_or_past_nginx_counts_nothing_for_nginx() -> None:
    names = ("kept", "replaced", "missing", "refused")
    before = [counted("nginx", name) for name in names]
    metrics.count_nginx(None, "A-1")
    assert [counted("nginx", name) for name in names] == before


def test_the_worker_outside_of_a_task_hands_on_what_it_logs() -> None:
    before = counted("worker", "missing")
    metrics.count_hand_off_of_task(None)
    assert counted("worker", "missing") == before + 1


def test_an_answer_has_its_id_as_exemplar_where_the_format_has_exemplars() -> None:
    metrics.count_request("POST", "/tests", 201, 0.004, "MY-TRACE-123")
    metrics.count_request("POST", "/tests", 201, 0.004, "x" * 128)  # too long for an exemplar
    rich, rich_type = metrics.exposition("application/openmetrics-text")
    plain, plain_type = metrics.exposition("")
    assert b'correlation_id="MY-TRACE-123"' in rich and b"MY-TRACE-123" not in plain
    assert "openmetrics" in rich_type and "text/plain" in plain_type
    assert b'clew_http_requests_total{method="POST",route="/tests",status="201"} 2.0' in plain


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch) -> FakeRedis:
    client = FakeRedis(decode_responses=True)
    monkeypatch.setattr(broker, "client", client)
    return client


def gauges() -> dict[str, float]:
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in metrics.Broker().collect()
        for sample in family.samples
    }


def test_what_redis_knows_is_asked_at_each_scrape(redis: FakeRedis) -> None:
    redis.rpush("high", "one", "two")
    redis.set("worker-alive:celery-worker-2", "1")
    redis.hset(keys.TASKS, mapping={"t1": "{}", "t2": "{}"})
    redis.hset(keys.RUNNING, "t1", "w/1")
    redis.zadd(keys.ACCEPTED, {"t1": 1000})
    found = gauges()
    assert (found["clew_queue_messageshigh"], found["clew_workers_alive"], found["clew_tasks_waiting"]) == (2, 1, 1)
    assert found["clew_oldest_task_seconds"] > 1e9
    assert (found["clew_redis_up"], found["clew_breaker_openadmission"], found["clew_dead_letters"]) == (1, 0, 0)


def test_while_redis_is_away_only_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(broker, "depths", away)
    assert gauges() == {"clew_redis_up": 0}
    assert metrics.Broker().describe() == []


def test_names_are_replaced_as_a_whole() -> None:
    text = "fastapi-server-1:8000 my-fastapi-server-1:8000 fastapi-server-1:80001"
    placed = prometheus.placed(text, {"fastapi-server-1:8000": "127.0.0.1:8051"})
    assert placed == "127.0.0.1:8051 my-fastapi-server-1:8000 fastapi-server-1:80001"


def test_a_pace_shortens_windows_and_waits_and_nothing_else() -> None:
    rules = "expr: rate(x[1m])\nfor: 30s\nrecord: a:rate1m"
    assert prometheus.faster(rules, 6) == "expr: rate(x[10s])\nfor: 5s\nrecord: a:rate1m"
    assert prometheus.faster(rules, 1) == rules


def test_the_receiver_keeps_what_alertmanager_sends() -> None:
    receiver = Receiver()
    sent = {
        "alerts": [{"status": "firing", "labels": {"alertname": "IDsLost", "hop": "worker"}, "annotations": {"a": "b"}}]
    }
    request = urllib.request.Request(f"http://127.0.0.1:{receiver.port}/", json.dumps(sent).encode())
    threading.Thread(target=receiver.handle_request, daemon=True).start()
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        assert answer.status == 204
    receiver.server_close()
    [alert] = receiver.alerts
    assert (alert.name, alert.status, alert.labels, alert.annotations) == (
        "IDsLost",
        "firing",
        {"hop": "worker"},
        {"a": "b"},
    )


class FakeMonitor:
    """Answers queries from a dictionary."""

    def __init__(self, answers: dict[str, list[Sample]]) -> None:
        self.answers = answers

    def query(self, expression: str) -> list[Sample]:
        return self.answers.get(expression, [])


def test_figures_are_shown_with_their_units_and_lost_ids_by_hop(capsys: pytest.CaptureFixture[str]) -> None:
    answers = {
        "clew:requests:rate1m": [Sample({}, 12.34)],
        "clew:errors:ratio1m": [Sample({}, 0.061)],
        "clew:request_seconds:p50_1m": [Sample({}, float("nan"))],
        "clew:request_seconds:p99_1m": [Sample({}, 0.0123)],
        "max(clew_oldest_task_seconds)": [Sample({}, 72.0)],
        'max(clew_breaker_open{breaker="admission"})': [Sample({}, 0.5)],
        "redis_memory_used_bytes": [Sample({}, 3 * 2**20)],
        "clew:hop_ids:rate1m > 0": [
            Sample({"hop": "nginx", "verdict": "kept"}, 2.0),
            Sample({"hop": "task-service", "verdict": "missing"}, 2.0),
        ],
        'ALERTS{alertstate="firing"}': [Sample({"alertname": "IDsLost", "hop": "task-service"}, 1)],
    }
    found = figures.figures(FakeMonitor(answers))  # type: ignore[arg-type]
    shown_metrics.out.print(shown_metrics.table(found))
    text = capsys.readouterr().out
    for words in (
        "12.3",
        "6.1%",
        "12.3 ms",
        "72.0 s",
        "half-open",
        "3.0 MiB",
        "Alerts that fire: IDsLost task-service",
    ):
        assert words in text
    assert found.values["answer time, median"] is None
    rows = {line.split()[1]: line.split() for line in text.splitlines() if line.startswith(("●", "○"))}
    assert rows["nginx"] == ["●", "nginx", "2.0"] and rows["task-service"] == ["○", "task-service", "2.0"]


def test_each_figure_of_the_table_is_one_that_is_recorded_or_exported() -> None:
    recorded = (prometheus.CONFIGURATION / "rules.yml").read_text()
    exported = Path(metrics.__file__).read_text() + "redis_memory_used_bytes nginx_connections_active"
    for query in figures.ONE.values():
        name = query.removeprefix("max(").split("{")[0].rstrip(")")
        assert f"record: {name}\n" in recorded or name in exported, name


class Ranges:
    """A Prometheus that answers each query over time with one series."""

    def __init__(self, values: list[tuple[float, float]]) -> None:
        self.values = values

    def query_range(self, query: str, *times: float) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        return [({"hop": "<routes>", "verdict": "kept"}, self.values)]


def test_what_a_panel_shows_is_kept_with_its_legends_and_without_what_is_no_number() -> None:
    found = recorded.panels(Ranges([(100, 1.23456), (102, float("nan")), (104, 2)]), 100, 104)  # type: ignore[arg-type]
    assert list(found) == [title for title, _, _ in dashboard.PANELS]
    assert found["Trail: hand-offs"] == [("<routes> kept", [(0.0, 1.235), (4.0, 2.0)])]
    with pytest.raises(ClewError, match="'Requests' is empty"):
        recorded.panels(Ranges([(100, float("nan"))]), 100, 104)  # type: ignore[arg-type]


def test_the_recorded_run_has_every_panel_and_names_the_hop_that_loses_the_id() -> None:
    run = recorded.load()
    assert list(run["panels"]) == [title for title, _, _ in dashboard.PANELS] and all(run["panels"].values())
    assert [at for _, at in run["moments"]] == sorted(at for _, at in run["moments"]) and run["pace"] == 1
    lost = {legend: max(value for _, value in points) for legend, points in run["panels"]["Trail: IDs lost"]}
    assert run["hop"] == "task-service" and lost["routes"] == 0 and lost["task-service"] == 1


def test_a_panels_picture_has_a_line_for_each_series_with_gaps_and_without_markup_of_others() -> None:
    series = [["<b>", [[0, 0], [2, 1], [10, 0.5]]], ["b", [[0, 0.2]]]]
    run = {"panels": {"Trail: IDs lost": series}, "moments": [["the alert arrives", 4]]}
    picture = str(panels.picture("Trail: IDs lost", "percentunit", run))
    paths = [path.get("d") or "" for path in ElementTree.fromstring(picture).iter("path")  # noqa: S314 - our own
             if "series" in (path.get("class") or "")]  # fmt: skip
    assert len(paths) == 4  # each with its sample in the legend
    assert [paths[0].count(letter) for letter in "ML"] == [2, 1]
    assert "100 %" in picture and "at the end: &lt;b&gt; 50 %, b 20 %" in picture


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.03, 0.05), (1, 1), (1.01, 2), (7, 10), (60, 100)])
def test_a_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert panels.ceiling(value) == top


def test_the_dashboards_file_is_what_the_code_says_and_its_panels_do_not_overlap() -> None:
    saved = json.loads((prometheus.CONFIGURATION / "grafana.json").read_text())
    assert saved == dashboard.dashboard()
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in saved["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24  # Grafana's grid has 24 columns
    assert len({panel["id"] for panel in saved["panels"]}) == len(saved["panels"])
    for panel in saved["panels"]:
        assert {"title", "type", "datasource", "targets", "fieldConfig", "gridPos"} <= set(panel)
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
