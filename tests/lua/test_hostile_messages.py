"""One real worker, every malformed message, and good tasks behind them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hostile
import pytest

from clew.core.paths import STACK, STAGES
from clew.core.wait import wait_until
from redis import Redis
from taskqueue.contract import DEAD_LETTERS_KEY, WORKER_KEY
from taskqueue.reliability import keys, wellformed

WORKER = "celery-worker-1"
COMMAND = [sys.executable, "-m", "celery", "--quiet", "-A", "tasks", "worker", "--concurrency", "2"]
OPTIONS = ["-Q", "high,medium,low", "--without-mingle", "--without-gossip"]


@pytest.fixture
def worker(redis: Redis, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that consumes; its log is in `tmp_path`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(STACK),
        "REDIS_URL": f"redis://127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/0",
        "SERVICE_NAME": WORKER,
        "READY_FILE": str(tmp_path / "ready"),
    }
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [*COMMAND, *OPTIONS], cwd=STAGES / "05-worker/celery-worker", env=environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            wait_until(lambda: redis.exists(WORKER_KEY + WORKER), 60, "the worker", f"cat {tmp_path / 'log'}")
            yield process
        finally:
            process.kill()


def send_good_tasks(redis: Redis, name: str, count: int = 10) -> list[str]:
    ids = [f"{name}-{number}" for number in range(count)]
    for task_id in ids:
        redis.hset(keys.TASKS, task_id, json.dumps(["taskqueue.rehearsal", {}, "low"]))
        redis.lpush("low", json.dumps(hostile.valid(task_id)))
    return ids


def wait_until_done(redis: Redis, ids: list[str], worker: subprocess.Popen[bytes]) -> None:
    def all_done() -> bool:
        assert worker.poll() is None, "the worker has ended"
        states = redis.mget([f"celery-task-meta-{task_id}" for task_id in ids])
        return all(state is not None and json.loads(str(state))["status"] == "SUCCESS" for state in states)

    wait_until(all_done, 60, "the good tasks behind the malformed messages", "look into the worker's log")


def is_malformed(message: bytes) -> bool:
    try:
        wellformed.check_task(message, {"taskqueue.rehearsal"})
    except wellformed.Malformed:
        return True
    return False


def test_no_message_ends_a_worker_and_the_good_tasks_behind_them_run(
    redis: Redis, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    messages = hostile.messages()
    malformed = [message for message in messages.values() if is_malformed(message)]
    redis.hset(keys.TASKS, hostile.TASK_ID, json.dumps(["taskqueue.rehearsal", {}, "low"]))
    redis.lpush("low", *messages.values())
    redis.lpush("low", b'{"a": "' + b"x" * 20_000_000 + b'"}')
    wait_until_done(redis, send_good_tasks(redis, "behind"), worker)

    assert redis.hlen(DEAD_LETTERS_KEY) == len(malformed) + 1
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if '"dead_letter"' in line]
    assert len(lines) == len(malformed) + 1
    assert all(json.loads(line)["level"] == "WARNING" for line in lines)

    for message in hostile.control_messages().values():
        redis.publish("/0.celery.pidbox", message)
    wait_until_done(redis, send_good_tasks(redis, "after-control"), worker)


def test_an_unacknowledged_message_that_cannot_be_read_does_not_keep_back_the_others(
    redis: Redis, worker: subprocess.Popen[bytes]
) -> None:
    broken = (b"garbage", b"7", b"[1]", b"null", b"\xff")
    for number, content in enumerate(broken):
        redis.hset("unacked", f"broken-{number}", content)
        redis.zadd("unacked_index", {f"broken-{number}": 10 + number})
    redis.hset(keys.TASKS, "good", json.dumps(["taskqueue.rehearsal", {}, "low"]))
    redis.hset("unacked", "tag", json.dumps([hostile.valid("good"), "", "low"]))
    redis.zadd("unacked_index", {"tag": 5})

    wait_until_done(redis, ["good"], worker)

    wait_until(lambda: not redis.hlen("unacked"), 30, "the broken ones to be removed", "")
    assert redis.hlen(DEAD_LETTERS_KEY) == len(broken)
