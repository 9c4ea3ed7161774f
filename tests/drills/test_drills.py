"""Short drills on real stacks: a claim that holds, one that breaks with the defaults, one that nobody can judge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clew.core.paths import ROOT, STATE
from clew.core.wait import wait_until
from clew.drills.book import drill_named
from clew.drills.faults import KILL, STOP
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Drill, Result
from clew.drills.run import run
from clew.drills.saved import FOLDER
from clew.drills.scene import Scene
from clew.stacks.drivers import running_driver
from clew.stacks.services import WORKERS
from clew.stacks.stack import drill_stack

COMMAND = [sys.executable, "-I", "-m", "clew", "drill"]
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVER", "local")


def perform(drill: Drill, on: str = "durable") -> Result:
    result = run(drill, on, seed=7, short=True, say=print)
    print(*result.checks, *result.unknown, result.counts, sep="\n")
    assert running_driver(drill_stack()) is None
    return result


def failed(result: Result) -> list[str]:
    """Return the checks that failed, except those of times: a machine on which tests run may be slow."""
    return [f"{check.what}: {check.found}" for check in result.checks if check.ok is False and not check.needs_calm]


@pytest.mark.parametrize("name", ["worker-kill", "retries", "hostile-messages"])
def test_the_claim_holds_with_the_durable_settings(name: str) -> None:
    result = perform(drill_named(name))
    assert (failed(result), result.unknown) == ([], [])
    assert result.counts["acknowledged"] == result.counts["requests"] > 0
    assert result.counts["latency_ms"]["p50"] > 0
    assert {path.name for path in result.folder.iterdir()} == {"result.json", "requests.jsonl", "logs"}
    assert (FOLDER / "latest").resolve() == result.folder.resolve()


def test_with_the_defaults_a_killed_worker_loses_its_tasks() -> None:
    result = perform(replace(drill_named("worker-kill"), seconds=5), on="stock")
    assert result.verdict == "broken"
    lost = [
        request["task_id"]
        for request in requests_in(result.folder)
        if request["task_id"] in result.counts["lost_tasks"]
    ]
    assert len(lost) == result.counts["lost"] > 0


def test_with_the_defaults_a_key_is_not_looked_at() -> None:
    result = perform(drill_named("idempotency"), on="stock")
    assert result.verdict == "broken"
    assert result.counts["acknowledged"] == result.counts["requests"]


def test_a_fault_that_hits_nothing_leaves_the_verdict_unknown() -> None:
    def act(scene: Scene) -> None:
        with scene.fault(STOP, WORKERS[0]), scene.fault(KILL, WORKERS[0]):
            scene.send([rehearsal()] * 3)
        scene.wait_consuming()

    result = perform(replace(drill_named("worker-kill"), act=act, checks=lambda scene, account: always(account)))
    assert (result.verdict, failed(result)) == ("unknown", [])
    assert result.unknown == [f"The fault did not land: kill {WORKERS[0]}."]


def test_ctrl_c_takes_the_stack_down_and_keeps_the_folder(tmp_path: Path) -> None:
    told = tmp_path / "told"
    with told.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, "worker-kill", "--short"], cwd=ROOT, stdout=file, stderr=file, env={**os.environ}
        )
    try:
        wait_until(lambda: b"killing" in told.read_bytes(), 100, "the drill to kill a worker", "")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, told.read_text()
    finally:
        process.kill()
    assert running_driver(drill_stack()) is None
    result = json.loads((STATE / "drills/latest/result.json").read_text())
    assert (result["name"], result["verdict"], result["unknown"][0]) == (
        "worker-kill",
        "unknown",
        "It was interrupted.",
    )


def test_the_command_prints_one_document_and_ends_with_the_verdicts_code() -> None:
    done = subprocess.run(
        [*COMMAND, "retries", "--short", "--json"], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    result = json.loads(done.stdout)
    assert done.returncode == {"held": 0, "broken": 1, "unknown": 2}[result["verdict"]]
    assert Path(result["folder"], "diagram.svg").read_text().startswith("<svg")


def requests_in(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "requests.jsonl").read_text().splitlines()]
