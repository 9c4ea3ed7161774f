"""Prometheus next to a stack, for real: its rules, an alert from the first lost ID to the receiver, an exemplar."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from raw_http import ask
from up import Up

from clew import provision
from clew.core.wait import wait_until
from clew.evidence import client
from clew.monitor import dashboard, figures, fire
from clew.monitor.prometheus import CONFIGURATION, watching
from clew.stacks.services import API_SERVERS, WORKERS


@pytest.fixture(scope="module")
def programs() -> Path:
    return provision.ensure_prometheus(print)


def promtool(programs: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [programs / arguments[0], *arguments[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_configuration_is_valid(programs: Path) -> None:
    for command in (
        ("promtool", "check", "config", "prometheus.yml"),
        ("promtool", "test", "rules", "rules_test.yml"),
        ("amtool", "check-config", "alertmanager.yml"),
    ):
        ran = promtool(programs, CONFIGURATION, *command)
        assert ran.returncode == 0, ran.stdout + ran.stderr


CHANGES = {
    "ErrorRate": ("> 0.05", "> 0.2"),
    "QueueDeep": ("> 400", "> 450"),
    "NoWorkers": ("(clew_workers_alive) == 0", "(clew_workers_alive) == 1"),
    "RedisDown": ("(clew_redis_up) == 0", "(clew_redis_up) == 1"),
    "DeadLetters": ("(clew_dead_letters) > 0", "(clew_dead_letters) > 2"),
    "IDsLost": ('unless on () clew:ids_lost:ratio1m{hop=~"nginx|routes|task-service"} > 0.01', ""),
    "replaced IDs": ('verdict=~"replaced|missing"', 'verdict="missing"'),
    "wait": ("for: 30s", "for: 0s"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_rule_fails_its_test(programs: Path, tmp_path: Path, name: str) -> None:
    for file in CONFIGURATION.glob("rules*.yml"):
        shutil.copy(file, tmp_path)
    old, new = CHANGES[name]
    rules = tmp_path / "rules.yml"
    assert old in rules.read_text()
    rules.write_text(rules.read_text().replace(old, new))
    assert promtool(programs, tmp_path, "promtool", "test", "rules", "rules_test.yml").returncode != 0


def test_ids_that_are_lost_raise_an_alert_that_names_the_hop_and_the_fix_resolves_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRIVER", "local")
    found = fire.fire(print, pace=6)
    assert found["hop"] == "task-service"
    assert found["fired_seconds"] < 60 and found["resolved_seconds"] < 60
    assert found["requests"] > 50


def test_a_request_is_found_by_its_exemplar_and_counted_at_each_hop(stage_5: Up) -> None:
    with watching(stage_5.stack, stage_5.driver, print) as monitor:
        assert len(monitor.targets_up()) == 8
        began = time.time()
        seen: list[str] = []

        def scraped() -> bool:
            client.send_task(stage_5.stack, f"EXEMPLAR-{time.time()}")  # a rate needs two scrapes that differ
            labels = monitor.exemplars("clew_http_request_seconds_bucket", began - 60)
            seen[:] = [one["correlation_id"] for one in labels]
            hops = figures.figures(monitor).hops
            return any(one.startswith("EXEMPLAR-") for one in seen) and all(hops[hop].get("kept") for hop in hops)

        wait_until(scraped, 30, "the exemplars", "", every=0.5)
        for _, _, queries in dashboard.PANELS:
            for expression, _ in queries:
                assert monitor.query(expression), f"no data: {expression}"


def test_a_stage_that_nobody_uses_logs_less_than_five_megabytes_an_hour(stage_5: Up) -> None:
    def size() -> int:
        return sum(len(line) for lines in stage_5.driver.logs().values() for line in lines)

    before, seconds = size(), 5.0
    time.sleep(seconds)  # the measurement itself
    assert (size() - before) / seconds * 3600 < 5e6


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?a=1"])
def test_nginx_passes_nobody_on_to_the_metrics(stage_5: Up, path: str) -> None:
    answer = ask(stage_5.stack.port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.status in (404, 307)  # with a slash at its end, FastAPI names the address without it
    assert b"clew_http_requests" not in answer.body


def test_each_server_and_worker_shows_its_own_metrics(stage_5: Up) -> None:
    ports = [stage_5.stack.ports[server] for server in API_SERVERS]
    ports += [stage_5.stack.metrics_ports[worker] for worker in WORKERS]
    for port in ports:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5, trust_env=False)
        assert answer.status_code == 200
        assert ("clew_http_requests_total" in answer.text) is (port in ports[:3])
