"""A real redis-server for the scripts: what a fake one does with Lua proves nothing."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from clew import provision
from clew.core.wait import wait_until
from redis import ConnectionError as RedisConnectionError
from redis import Redis
from taskqueue import broker
from taskqueue.reliability import breaker, intake


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    provision.ensure_redis(print)
    folder = tmp_path_factory.mktemp("redis")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(provision.find_redis()), "--port", str(port), "--dir", str(folder), "--save", ""]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        client = Redis(port=port, decode_responses=True, socket_timeout=5)

        def answers() -> bool:
            try:
                return bool(client.ping())
            except RedisConnectionError:
                return False

        try:
            wait_until(answers, 20, "redis-server to answer", f"cat {folder / 'log'}")
            yield client
        finally:
            client.close()
            server.terminate()


@pytest.fixture
def redis(redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> Redis:
    """An empty, real Redis, in place of the one that the services ask."""
    redis_server.flushall()
    breaker._redis.reset()
    intake._current.set(None)
    monkeypatch.setattr(broker, "client", redis_server)
    return redis_server
