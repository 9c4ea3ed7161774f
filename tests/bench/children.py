"""Variants that are processes: each imports what it measures once, and answers every round with its CPU time."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from clew import provision
from clew.core.paths import STACK, STAGES
from clew.core.wait import wait_until

# Prints what a round cost to standard error: standard output is the service's log. A round is `calls` calls of `once`.
LOOP = """
import asyncio, sys, time
async def serve():
    for line in sys.stdin:
        before()
        began = time.process_time()
        for _ in range(int(line)):
            await once()
        print(repr(time.process_time() - began), file=sys.stderr, flush=True)
asyncio.run(serve())
"""
# The stage's application, called as a server calls it; no HTTP client or server is measured.
POST = """
from main import app
import json, os, itertools
from taskqueue.reliability import intake, ledger
ledger.SCRIPT_SECONDS = intake.BUDGET_SECONDS = 60  # on a busy machine a POST would be refused as too late
BODY = json.dumps({"task_type": "calculate_var", "priority": "high", "data": {"portfolio_data": {"positions": [
    {"symbol": "AAPL", "quantity": 100, "price": 150.0}]}}}).encode()
numbers = itertools.count()
def before():
    from taskqueue import broker
    broker.client.flushdb()
async def once():
    number = next(numbers)
    headers = [(b"host", b"bench"), (b"content-type", b"application/json"),
               (b"content-length", str(len(BODY)).encode()), (b"x-request-id", b"bench-%d" % number),
               (b"x-retry-key", b"%d-%d" % (os.getpid(), number))]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
             "path": "/api/v1/tasks", "raw_path": b"/api/v1/tasks", "query_string": b"", "root_path": "",
             "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}}
    body = [{"type": "http.request", "body": BODY, "more_body": False}]
    async def receive():
        if body:
            return body.pop()
        await asyncio.get_running_loop().create_future()
    status = []
    async def send(message):
        if message["type"] == "http.response.start":
            status.append(message["status"])
    await app(scope, receive, send)
    assert status == [201], status
"""

SILENT = "import logging; logging.disable(logging.CRITICAL)\n"


@contextlib.contextmanager
def redis(settings: str = "durable") -> Iterator[int]:
    """Run a Redis of its own with the stack's settings; yield its port.

    Where there is a file system in memory, its files are there: a slow disk would make CPU times vary.
    """
    provision.ensure_redis(print)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder of its own in there
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        command = [provision.find_redis(), STACK / f"redis/{settings}.conf", "--port", str(port), "--dir", folder]
        with (Path(folder) / "log").open("wb") as log, subprocess.Popen(command, stdout=log) as process:
            try:
                wait_until(lambda: _listens(port), 20, "redis-server to listen", "make bench")
                yield port
            finally:
                process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def child(code: str, calls: int, stage: str = "05-worker", **environment: str) -> Iterator[Callable[[], float]]:
    """Run `code`, which defines `before` and an async `once`; yield the round: microseconds of CPU time a call.

    `environment` is what the code finds besides the stage's application on its path.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", code + LOOP],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{STACK}:{STAGES / stage / 'fastapi-app'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SERVICE_NAME": "bench",
            **environment,
        },
        text=True,
    )
    assert process.stdin is not None and process.stderr is not None
    told, said = process.stdin, process.stderr

    def round_() -> float:
        print(calls, file=told, flush=True)
        answer = said.readline()
        try:
            return float(answer) / calls * 1e6
        except ValueError:
            raise SystemExit(answer + said.read()) from None

    try:
        yield round_
    finally:
        told.close()
        try:
            process.wait(timeout=10)
        finally:
            process.kill()
            said.close()
