"""CPU time of a POST in the API: processes that are asked in process, in turns, on a Redis of their own.

Each variant is a process with a stage's application: no HTTP client or server is measured. Redis is real and syncs
every write.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from clew import provision
from clew.core.errors import ClewError
from clew.core.paths import STACK
from clew.core.wait import wait_until

CHILD = """
import asyncio, json, logging, os, sys, time
import httpx
from main import app
from opentelemetry import trace
from taskqueue import broker
POSITIONS = [{"symbol": "AAPL", "quantity": 100, "price": 150.0}]
BODY = {"task_type": "calculate_var", "data": {"portfolio_data": {"positions": POSITIONS}}, "priority": "high"}
async def serve():
    number = 0
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        for line in sys.stdin:
            broker.client.flushdb()
            began = time.process_time()
            for _ in range(int(line)):
                number += 1
                headers = {"X-Request-ID": f"bench-{number}", "X-Retry-Key": f"{os.getpid()}-{number}"}
                answer = await client.post("/api/v1/tasks", json=BODY, headers=headers)
                assert answer.status_code == 201, answer.text
            getattr(trace.get_tracer_provider(), "force_flush", int)()  # spans that wait to be written cost time too
            print(json.dumps(time.process_time() - began), file=sys.stderr, flush=True)
asyncio.run(serve())
"""


class Variant:
    """The API of a stage's folder as a process: `seconds` collects the CPU time of a POST, one figure a round."""

    def __init__(self, name: str, stage: Path, settings: str, redis_port: int) -> None:
        self.name = name
        self.seconds: list[float] = []
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{STACK}:{stage / 'fastapi-app'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "SERVICE_NAME": "bench",
            "SETTINGS": settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=stage / "fastapi-app",
            text=True,
        )

    def post(self, count: int, counts: bool = True) -> None:
        """Send `count` POSTs one after the other.

        Raises:
            ClewError: the process ended.
        """
        assert self.process.stdin is not None and self.process.stderr is not None
        print(count, file=self.process.stdin, flush=True)
        answer = self.process.stderr.readline()
        if not answer.strip().replace(".", "").replace("e-", "").isdigit():
            raise ClewError(f"{self.name} ended: {answer}{self.process.stderr.read()}", "make ways")
        if counts:
            self.seconds.append(json.loads(answer) / count)

    @property
    def microseconds(self) -> float:
        """The median of all rounds."""
        return statistics.median(self.seconds) * 1e6

    def ratio(self, other: Variant) -> float:
        """Return the median of this one's time divided by the other's, round by round."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))

    def end(self) -> None:
        """End the process, which has read all that it was told."""
        self.process.communicate(timeout=10)


def in_turns(variants: Sequence[Variant], rounds: int, posts: int, warm_up: int = 200) -> None:
    """Measure each variant once a round, in changing order, after `warm_up` posts that do not count; end them.

    Raises:
        ClewError: one of them ended before.
    """
    try:
        for variant in variants:
            variant.post(warm_up, counts=False)
        for number in range(rounds):
            for variant in variants if number % 2 else reversed(variants):
                variant.post(posts)
    finally:
        for variant in variants:
            variant.end()


@contextlib.contextmanager
def redis_of_its_own() -> Iterator[int]:
    """Run a Redis in the block, with the services' durable configuration; yield its port.

    Raises:
        ClewError: it does not listen within 20 s.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [str(provision.find_redis()), str(STACK / "redis/durable.conf"), "--port", str(port), "--dir", folder]
        with (Path(folder) / "log").open("wb") as log, subprocess.Popen(command, stdout=log) as redis:
            try:
                wait_until(lambda: _listens(port), 20, "redis-server to listen", "make doctor")
                yield port
            finally:
                redis.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
