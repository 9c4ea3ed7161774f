"""A worker's lease: who holds it, how long it lives, and that an outage does not end its thread."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from taskqueue.contract import LEASE_KEY
from taskqueue.reliability import lease
from taskqueue.settings import settings

ROUNDS = 4


def test_the_lease_is_refreshed_all_the_time_also_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, dict[str, Any]]] = []
    written: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    waited: list[float] = []
    started: list[dict[str, Any]] = []

    class Client:
        def set(self, *arguments: Any, **options: Any) -> None:
            written.append((arguments, options))
            if len(written) == 2:
                raise RedisConnectionError("away")

    class Pause:
        def wait(self, seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == ROUNDS:
                raise SystemExit

    def from_url(url: str, **options: Any) -> Client:
        opened.append((url, options))
        return Client()

    monkeypatch.setattr(lease.redis.Redis, "from_url", from_url)

    class Thread:
        def __init__(self, **options: Any) -> None:
            self.options = options

        def start(self) -> None:
            started.append(self.options)

    monkeypatch.setattr(lease, "threading", SimpleNamespace(Thread=Thread, Event=Pause))
    lease.keep()
    [thread] = started
    assert (thread["daemon"], thread["name"]) == (True, "lease")
    with pytest.raises(SystemExit):
        thread["target"]()

    assert written == [((f"{LEASE_KEY}{settings.service_name}", lease.OWNER), {"px": 5000})] * ROUNDS
    assert waited == [lease.EVERY_SECONDS] * ROUNDS
    [(url, options)] = opened
    assert url == settings.redis_url
    # One attempt, refused or not answered, and the next one must still be in time.
    assert options["retry"].get_retries() == 0
    assert options["socket_timeout"] + options["socket_connect_timeout"] + 2 * lease.EVERY_SECONDS < 5
    assert 0 < options["socket_connect_timeout"] < options["socket_timeout"]


def test_the_owner_is_this_process_of_this_worker() -> None:
    assert lease.OWNER.startswith(f"{settings.service_name}/")
