"""What the ledger costs: CPU time of one POST in the API, with the ledger and without, measured in turns.

Each variant is a process with stage 5's application, asked in process: no HTTP client or server is measured. Redis is
real and syncs every write. A third process is a second one without the ledger: its ratio to the first is what chance
does here, and when that is not within 5 % of 1, the other ratio means nothing.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from clew import provision
from clew.core.paths import STACK, STAGES
from clew.core.wait import wait_until

ROUNDS = int(os.environ.get("ROUNDS", "120"))
POSTS = 40  # a round of one variant
GOAL = 1.10

CHILD = """
import asyncio, json, logging, os, sys, time
import httpx
from main import app
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
            print(json.dumps(time.process_time() - began), file=sys.stderr, flush=True)
asyncio.run(serve())
"""


class Variant:
    """The API as a process: `seconds` collects the CPU time of a POST, one figure a round."""

    def __init__(self, name: str, settings: str, redis_port: int) -> None:
        self.name = name
        self.seconds: list[float] = []
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{STACK}:{STAGES / '05-worker/fastapi-app'}",
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
            text=True,
        )

    def post(self, count: int, counts: bool = True) -> None:
        assert self.process.stdin is not None and self.process.stderr is not None
        print(count, file=self.process.stdin, flush=True)
        answer = self.process.stderr.readline()
        if not answer.strip().replace(".", "").replace("e-", "").isdigit():
            raise SystemExit(answer + self.process.stderr.read())
        if counts:
            self.seconds.append(json.loads(answer) / count)

    def end(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait(timeout=10)


def main() -> int:
    provision.ensure_redis(print)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [str(provision.find_redis()), str(STACK / "redis/durable.conf"), "--port", str(port), "--dir", folder]
        with (Path(folder) / "log").open("wb") as log, subprocess.Popen(command, stdout=log) as redis:
            try:
                wait_until(lambda: _listens(port), 20, "redis-server to listen", "make bench-post")
                return measure(port)
            finally:
                redis.terminate()


def measure(port: int) -> int:
    variants = [Variant("with", "durable", port), Variant("without", "stock", port), Variant("again", "stock", port)]
    with_ledger, without, again = variants
    for variant in variants:
        variant.post(200, counts=False)
    for number in range(ROUNDS):
        for variant in variants if number % 2 else reversed(variants):
            variant.post(POSTS)
    for variant in variants:
        variant.end()
    for variant in variants:
        print(f"{variant.name:8}{statistics.median(variant.seconds) * 1e6:7.0f} µs CPU a POST (median of {ROUNDS})")
    ratio, chance = _ratio(with_ledger, without), _ratio(again, without)
    print(f"with ÷ without {ratio:.3f} (goal ≤ {GOAL}); without ÷ without {chance:.3f}")
    if not 0.95 < chance < 1.05:
        print("The two processes that do the same differ by more than 5 %: this run shows nothing.")
        return 2
    return int(ratio > GOAL)


def _ratio(one: Variant, other: Variant) -> float:
    return statistics.median(a / b for a, b in zip(one.seconds, other.seconds, strict=True))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
