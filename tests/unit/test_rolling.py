"""In which order a rolling restart does what, and when it refuses, with a driver that starts nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from clew.core.errors import ClewError
from clew.stacks import freshness, lifecycle, ready, rolling
from clew.stacks.rolling import rolling_restart
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES, WORKERS
from clew.stacks.stack import Stack, stage_stack


class FakeDriver:
    """Nine services that are only names; notes what it is asked to do, and when each was started."""

    name = "fake"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.starts = dict.fromkeys(SERVICES, 1e12)

    def stop(self, service: str) -> None:
        self.asked.append(f"stop {service}")

    def start(self, service: str) -> None:
        self.asked.append(f"start {service}")
        self.starts[service] += 1

    def reload_nginx(self) -> None:
        self.asked.append("reload")

    def started(self) -> dict[str, float]:
        return dict(self.starts)


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: FakeDriver) -> Stack:
    """Stage 5, ready, with every wait noted among what the driver was asked."""
    monkeypatch.setattr("clew.stacks.stack.STATE", tmp_path)
    monkeypatch.setattr(ready, "not_ready", lambda *_: [])
    monkeypatch.setattr(ready, "wait_nginx", lambda *_, keeps_id: driver.asked.append(f"wait nginx {keeps_id}"))

    def wait_ready(stack: Stack, services: Iterable[str], **_: Any) -> float:
        driver.asked.extend(f"wait {service}" for service in services)
        return 0.0

    monkeypatch.setattr(ready, "wait_ready", wait_ready)
    monkeypatch.setattr(rolling.httpx, "get", lambda url, **_: driver.asked.append(f"ask {url}") or httpx.Response(200))
    return stage_stack(5)


def changes(monkeypatch: pytest.MonkeyPatch, changed: dict[str, list[str]]) -> None:
    monkeypatch.setattr(freshness, "changed_since_start", lambda *_: changed)


def restart(stack: Stack, driver: FakeDriver) -> list[rolling.Step]:
    return rolling_restart(stack, driver, lambda _: None)  # type: ignore[arg-type]


def test_each_service_is_ready_again_before_the_next_one_stops(stack: Stack, driver: FakeDriver) -> None:
    steps = restart(stack, driver)

    order = (*WORKERS, *API_SERVERS, FLOWER)
    each = [
        words
        for service in order
        for words in (
            *(f"{verb} {service}" for verb in ("stop", "start", "wait")),
            *([f"ask http://127.0.0.1:{stack.ports[service]}/health"] if service in API_SERVERS else []),
        )
    ]
    assert driver.asked == ["reload", "wait nginx True", *each]
    assert [(step.service, step.done) for step in steps] == [
        (NGINX, "reloaded"),
        *((service, "restarted") for service in order),
        (REDIS, "left as it is"),
    ]


def test_afterwards_every_service_that_was_restarted_is_known_to_run_the_files_on_disk(
    stack: Stack, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    restart(stack, driver)
    freshness.require_current(stack, driver)  # type: ignore[arg-type]
    notes = freshness._notes(stack)
    assert {service: notes[service]["started"] for service in WORKERS} == dict.fromkeys(WORKERS, 1e12 + 1)


def test_an_nginx_configuration_that_a_learner_wrote_is_only_asked_whether_it_answers(
    stack: Stack, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stack, "mix", "?1111")
    restart(stack, driver)
    assert driver.asked[:2] == ["reload", f"wait {NGINX}"]


def test_nothing_is_stopped_while_a_service_is_not_ready(
    stack: Stack, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "not_ready", lambda *_: ["celery-worker-2"])
    with pytest.raises(ClewError, match="celery-worker-2") as refused:
        restart(stack, driver)
    assert refused.value.next_step.startswith("make stage-5 up")
    assert driver.asked == []


@pytest.mark.parametrize(
    ("changed", "mix"),
    [
        ({WORKERS[0]: ["stack/compose.yaml"]}, "11111"),
        ({REDIS: ["stack/redis/durable.conf"]}, "11111"),
        ({NGINX: ["stages/05-worker/nginx/nginx.conf"]}, "?1111"),
    ],
)
def test_what_a_rolling_restart_cannot_apply_is_refused(
    stack: Stack, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, changed: dict[str, list[str]], mix: str
) -> None:
    monkeypatch.setattr(Stack, "mix", mix)
    changes(monkeypatch, changed)
    (path,) = next(iter(changed.values()))
    with pytest.raises(ClewError, match=path):
        restart(stack, driver)
    assert driver.asked == []


def test_changed_code_is_what_a_rolling_restart_is_for(
    stack: Stack, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes(monkeypatch, {API_SERVERS[0]: ["stack/taskqueue/web.py"], NGINX: ["stages/05-worker/nginx/nginx.conf"]})
    assert restart(stack, driver)


def test_another_command_that_starts_or_ends_the_stack_waits(
    stack: Stack, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def reload_nginx() -> None:
        try:
            with lifecycle.only_one(stack, 0):
                held.append(False)
        except ClewError:
            held.append(True)

    monkeypatch.setattr(driver, "reload_nginx", reload_nginx)
    restart(stack, driver)
    assert held == [True]
