"""Up, down and everything in between, as a person types it: `python -m clew` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from up import Up, require, start

from clew import ladder
from clew.cli import cli as main
from clew.core.errors import ClewError
from clew.core.paths import STACK
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.evidence.message import message
from clew.evidence.trace import check, trace
from clew.stacks import lifecycle, ready
from clew.stacks.drivers.docker import DockerDriver
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.ready import is_ready
from clew.stacks.services import API_SERVERS, REDIS, SERVICES
from clew.stacks.stack import Stack, all_stacks, stage_stack


def clew(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=90)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def processes_of(stack: Stack) -> list[psutil.Process]:
    return LocalDriver(stack).processes()


@pytest.fixture
def stack() -> Iterator[Stack]:
    stack = stage_stack(2)
    yield stack
    lifecycle.down(stack)
    assert processes_of(stack) == []


def test_a_whole_session(stack: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        no_port = clew("up", "2", "--port", str(taken.getsockname()[1]))
    up = clew("up", "2", "--json")  # on its own port: the one that could not be had is not remembered
    elsewhere = clew("up", "2", "--port", "29099")
    again = clew("up", "2")
    status = clew("status", "2", "--json")
    traced = clew("trace", "2", "--id", "MY-TRACE-123", "--json")
    checked = clew("check", "2")
    found = clew("logs", "2", "--id", "MY-TRACE-123")
    sent = clew("send", "2", CLEW_ID="FROM-MAKE-1")
    down = clew("down", "2")
    down_again = clew("down", "2")

    assert no_port.returncode == 1
    assert "is in use" in no_port.stderr
    assert json.loads(up.stdout)["driver"] == "local"
    assert elsewhere.returncode == 1
    assert f"Stage 2 is already up on port {stack.port}." in elsewhere.stderr
    assert again.returncode == 0
    assert {state["ready"] for state in json.loads(status.stdout)["services"].values()} == {True}
    run = json.loads(traced.stdout)
    assert (run["stage"], run["sent_id"], run["driver"], run["status"]) == (2, "MY-TRACE-123", "local", "SUCCESS")
    assert [hop["verdict"] for hop in run["hops"]] == ["kept", "kept", "missing", "missing", "missing"]
    assert run["ends_in"]["hop"] == "task-service"
    assert checked.returncode == 0
    assert "nginx-loadbalancer" in found.stdout
    assert "\x1b[" not in found.stdout + traced.stdout
    assert "FROM-MAKE-1" in sent.stdout
    assert "is down." in down.stdout
    assert "is down already." in down_again.stdout
    assert processes_of(stack) == []


def test_a_message_is_opened_again_after_the_stack_was_started_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, as a notebook's: nothing may be kept of the Redis that ended."""
    monkeypatch.setenv("DRIVER", "local")
    for _ in range(2):
        lifecycle.up(stack, print)
        assert message(stack, "MY-TRACE-123", client.seeded_body())["sent_id"] == "MY-TRACE-123"
        lifecycle.down(stack)


def test_check_fails_when_a_layer_does_more_or_less_than_the_table_says(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIVER", "local")
    folder = tmp_path / "stages/two"
    (tmp_path / "stack").symlink_to(STACK)  # which its compose.yaml includes
    ladder.write_mix("11100", folder, 2)  # calls itself stage 2, and has fix 3 too
    changed = replace(stack, folder=folder)
    lifecycle.up(changed, print)

    with pytest.raises(ClewError, match="task-service is kept, expected missing"):
        check(trace(changed))


def test_a_front_door_where_another_service_of_the_stage_listens_is_refused(stack: Stack) -> None:
    refused = clew("up", "2", "--port", str(stack.ports["flower"]))

    assert refused.returncode == 1
    assert f"Port {stack.ports['flower']} is reserved for flower." in refused.stderr
    assert "up PORT=" in refused.stderr
    assert processes_of(stack) == []


@pytest.mark.parametrize(
    "environment", [{"DOCKER_HOST": "tcp://nosuch.invalid:2375"}, {"DOCKER_CONTEXT": "nosuch"}], ids=str
)
def test_a_docker_client_that_reaches_nothing_does_not_prevent_local_processes(
    stack: Stack, environment: dict[str, str]
) -> None:
    require("docker")
    up, down = clew("up", "2", **environment), clew("down", "2", **environment)

    assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr


def test_down_all_ends_the_others_when_one_cannot_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def end(stack: Stack) -> None:
        asked.append(stack.name.removesuffix(f"-{os.environ['CLEW_PORTS']}"))
        if stack.number == 1:
            raise ClewError("It would not end.", "make doctor")

    monkeypatch.setattr(lifecycle, "down", end)
    with pytest.raises(ClewError, match="It would not end"):
        main.main(["down", "all"], standalone_mode=False)
    assert asked[:6] == [f"stage-{number}" for number in range(6)]
    assert set(asked) == {stack.name.removesuffix(f"-{os.environ['CLEW_PORTS']}") for stack in all_stacks()}


def test_a_reader_who_has_seen_enough_is_not_an_error(stage_5: Up) -> None:
    line = f"{sys.executable} -m clew logs 5 | head -n 1"
    read = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, timeout=30)

    assert (read.returncode, read.stderr) == (0, "")
    assert len(read.stdout.splitlines()) == 1


@pytest.mark.parametrize("driver", ["local", "docker"])
def test_a_port_that_is_taken_is_named_and_nothing_is_left(stack: Stack, driver: str) -> None:
    require(driver)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.ports["flower"]))
        taken.listen()
        failed = clew("up", "2", DRIVER=driver)

    assert failed.returncode == 1
    assert f"Port {stack.ports['flower']}, needed for flower, is in use" in failed.stderr
    assert f"(process {os.getpid()})" in failed.stderr
    assert "Next: make stage-2 up CLEW_PORTS=" in failed.stderr
    assert clew("status", "2").returncode == 1


def test_an_interrupted_up_takes_everything_down_again(stack: Stack) -> None:
    interrupted = start("up", "2")
    wait_until(lambda: len(processes_of(stack)) >= 6, 30, "some services to start", "")
    interrupted.send_signal(signal.SIGINT)
    _, err = interrupted.communicate(timeout=60)

    assert interrupted.returncode == 130
    assert "Interrupted; stopping what was started for Stage 2." in err
    assert processes_of(stack) == []


def test_a_service_that_cannot_start_is_named_with_its_last_words_and_nothing_is_left(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "READY_SECONDS", 8)
    monkeypatch.setenv("DRIVER", "local")
    monkeypatch.setattr(LocalDriver, "programs", broken_worker(LocalDriver.programs))

    with pytest.raises(ClewError) as failed:
        lifecycle.up(stack, print)

    assert "celery-worker-2" in failed.value.message
    assert "no_worker_today" in failed.value.message
    assert processes_of(stack) == []


def broken_worker(programs):  # type: ignore[no-untyped-def]
    def broken(self):  # type: ignore[no-untyped-def]
        found = programs(self)
        command = (sys.executable, "-c", "raise(SystemExit('no_worker_today'))")
        return {**found, "celery-worker-2": replace(found["celery-worker-2"], command=command)}

    return broken


def test_a_full_disk_is_said_before_anything_starts(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVER", "local")
    monkeypatch.setattr("shutil.disk_usage", lambda _: FullDisk)

    with pytest.raises(ClewError) as failed:
        lifecycle.up(stack, print)

    assert "is full" in failed.value.message
    assert "free some space" in failed.value.next_step
    assert processes_of(stack) == []


class FullDisk:
    free = 1024


@pytest.mark.parametrize(
    ("arguments", "environment", "message", "next_step"),
    [
        (["up", "9"], {}, "There is no stage 9", "make stage-0 up trace"),
        (["up", "x"], {}, "There is no stage x", "make stage-0 up trace"),
        (["up", "1"], {"DRIVER": "podman"}, "DRIVER is 'podman'", "make doctor DRIVER="),
        (["up", "1", "--port", "http"], {}, "PORT is 'http'", "make stage-1 up PORT=8080"),
        (["up", "1"], {"CLEW_PORTS": "9999"}, "CLEW_PORTS is '9999'", "unset CLEW_PORTS"),
        (["trace", "1"], {}, "Stage 1 is not up", "make stage-1 up"),
        (["logs", "1"], {}, "Stage 1 is not up", "make stage-1 up"),
        (["diff", "0"], {}, "Stage 0 is the first", "make stage-1 diff"),
        (["trace", "1", "--data", "[1"], {}, "DATA cannot be sent", "make stage-1 send"),
        (["trace", "1", "--type", "nope"], {}, "no task type 'nope'", "make stage-1 send"),
    ],
)
def test_every_error_says_what_to_type_next(
    arguments: list[str], environment: dict[str, str], message: str, next_step: str
) -> None:
    failed = clew(*arguments, **environment)
    own_ports = f" CLEW_PORTS={os.environ['CLEW_PORTS']}" if next_step.startswith("make") else ""

    assert failed.returncode == 1
    assert failed.stdout == ""
    assert message in failed.stderr
    assert failed.stderr.rstrip().endswith(f"Next: {next_step}{own_ports}")
    assert "Traceback" not in failed.stderr


def test_an_engine_that_does_not_answer_is_said_at_once_and_to_scripts_as_json() -> None:
    failed = clew("up", "1", "--json", DRIVER="docker", DOCKER_HOST="tcp://127.0.0.1:1")

    assert failed.returncode == 1
    told = json.loads(failed.stdout)
    assert "No Docker engine answers" in told["error"] or "docker command is not" in told["error"]
    assert told["next"].startswith("make stage-1 up DRIVER=local")


def test_two_stages_run_side_by_side(stage_5: Up, stage_0: Up) -> None:
    assert trace(stage_5.stack, driver=stage_5.driver).verdicts == ("kept",) * 5
    assert trace(stage_0.stack, driver=stage_0.driver).verdicts[0] == "replaced"


@pytest.mark.timeout(60)
def test_a_message_is_not_waited_for_without_end_when_redis_is_frozen(stage_5: Up) -> None:
    stage_5.driver.pause(REDIS)
    try:
        with pytest.raises(ClewError, match="Redis does not answer"):
            message(stage_5.stack, "MY-TRACE-123", client.seeded_body())
    finally:
        stage_5.driver.unpause(REDIS)
    wait_until(lambda: not not_ready(stage_5.stack), 30, "every service to be ready", "")
    assert trace(stage_5.stack, driver=stage_5.driver).verdicts == ("kept",) * 5


def test_a_warm_up_reaches_each_api_server(stage_5: Up) -> None:
    began = time.time()
    client.warm_up(stage_5.stack)

    def reached() -> bool:
        lines = logs.with_id(logs.read(stage_5.driver, began), "warm-up")
        return {line["service"] for line in lines if line.get("hop") == "routes"} == set(API_SERVERS)

    wait_until(reached, 5, "a line of each server", "", every=0.05)


def not_ready(stack: Stack) -> list[str]:
    return [service for service in SERVICES if not is_ready(stack, service)]


def test_no_stage_folder_gets_a_cache_file(stage_5: Up) -> None:
    assert list(Path(stage_5.stack.folder).rglob("__pycache__")) == []


def test_an_interrupted_up_leaves_no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    require("docker")
    stack = stage_stack(4)
    driver = DockerDriver(stack)
    driver.prepare(print)
    interrupted = start("up", "4", DRIVER="docker")
    try:
        wait_until(lambda: "running" in driver.status().values(), 60, "a container to run", "", every=0.05)
        interrupted.send_signal(signal.SIGINT)
        _, err = interrupted.communicate(timeout=90)

        assert interrupted.returncode == 130, err
        assert set(driver.status().values()) == {"absent"}
    finally:
        lifecycle.down(stack)
