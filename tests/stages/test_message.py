"""Looking at messages on real queues: whatever becomes of the tool, the workers consume again."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from up import Up

from clew.evidence import client
from clew.evidence.message import message
from clew.stacks.ready import redis_client

HOLD = """
import sys, time
from clew.evidence.message import nobody_consuming
from clew.stacks.stack import stage_stack
with nobody_consuming(stage_stack(5)):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.mark.timeout(120)
def test_a_tool_killed_while_it_looks_leaves_workers_that_consume(stage_5: Up) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as tool:
        assert tool.stdout is not None
        assert tool.stdout.readline() == "held\n"
        task_id = client.send_task(stage_5.stack, "after-a-kill").task_id
        with redis_client(stage_5.stack) as redis:
            assert redis.llen("high") == 1
        tool.kill()

    killed = time.monotonic()
    assert client.result(stage_5.stack, task_id)["status"] == "SUCCESS"
    assert time.monotonic() - killed < 10


def test_a_message_is_shown_and_its_task_runs(stage_5: Up) -> None:
    found = message(stage_5.stack, "MY-TRACE-123", client.seeded_body())

    assert found["queue"] == "high"
    assert found["id_at"] == "kwargs.correlation_id"
    assert client.result(stage_5.stack, found["task_id"])["status"] == "SUCCESS"
