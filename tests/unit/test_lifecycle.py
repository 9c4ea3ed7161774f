"""What a failed or refused command ends, with a driver that starts nothing; and an engine that hangs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.stacks import freshness, lifecycle, ready
from clew.stacks.drivers import choice, docker, running_driver
from clew.stacks.refresh import refresh
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, SERVICES, WORKERS
from clew.stacks.stack import Stack, all_stacks, stacks_elsewhere, stage_stack


class FakeDriver:
    """Nine services that are only names; notes what it is asked to do."""

    name = "fake"

    def __init__(self, states: dict[str, str], refuses: bool = False, fails: bool = False) -> None:
        self.states, self.refuses, self.fails = states, refuses, fails
        self.asked: list[tuple[str, ...]] = []

    def preflight(self) -> None:
        if self.refuses:
            raise ClewError("Not ours.", "make doctor")

    def up(self) -> None:
        self.asked.append(("up",))
        self.states = dict.fromkeys(SERVICES, "running")
        if self.fails:
            raise ClewError("It failed half-way.", "make doctor")

    def down(self) -> None:
        self.asked.append(("down",))

    def discard(self, services: Sequence[str]) -> None:
        self.asked.append(("discard", *services))

    def restart(self, services: Sequence[str]) -> None:
        self.asked.append(("restart", *services))

    def reload_nginx(self) -> None:
        self.asked.append(("reload",))

    def status(self) -> dict[str, str]:
        return dict(self.states)

    def started(self) -> dict[str, float]:
        return dict.fromkeys((name for name, state in self.states.items() if state != "absent"), 1e12)

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        return {}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr("clew.stacks.stack.STATE", tmp_path)
    monkeypatch.setattr(ready, "wait_ready", lambda *_, **__: 0.0)
    monkeypatch.setattr(ready, "wait_nginx", lambda *_, **__: None)
    return stage_stack(3)


def use(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    up = set(driver.states.values()) != {"absent"}
    monkeypatch.setattr(lifecycle, "running_driver", lambda *_, **__: driver if up else None)
    monkeypatch.setattr(lifecycle, "choose", lambda *_: driver)


def test_a_refused_up_ends_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(dict.fromkeys(SERVICES, "absent"), refuses=True)
    use(driver, monkeypatch)

    with pytest.raises(ClewError, match="Not ours"):
        lifecycle.up(stack, print)

    assert driver.asked == []


def test_a_failed_up_ends_everything_when_nothing_ran_before(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(dict.fromkeys(SERVICES, "absent"), fails=True)
    use(driver, monkeypatch)

    with pytest.raises(ClewError, match="half-way"):
        lifecycle.up(stack, print)

    assert driver.asked == [("up",), ("down",)]
    assert lifecycle.noted_port(stack) is None


def test_a_service_that_ends_again_and_again_is_not_waited_for(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(ready, "LOOK_AFTER", 0)
    monkeypatch.setattr(ready, "GIVE_UP_AFTER", 0.2)
    monkeypatch.setattr(ready, "not_ready", lambda *_: [API_SERVERS[0], FLOWER])
    driver = FakeDriver({**dict.fromkeys(SERVICES, "running"), API_SERVERS[0]: "stopped"})

    with pytest.raises(ClewError, match=f"end when they are started: {API_SERVERS[0]}\\."):
        ready.wait_ready(stack, seconds=20, driver=driver)


def test_a_failed_up_ends_only_what_it_started(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {**dict.fromkeys(SERVICES, "running"), WORKERS[1]: "stopped", API_SERVERS[0]: "absent"}
    driver = FakeDriver(states, fails=True)
    use(driver, monkeypatch)

    with pytest.raises(ClewError, match="half-way"):
        lifecycle.up(stack, print)

    assert driver.asked == [("up",), ("discard", API_SERVERS[0], WORKERS[1])]


def test_up_restarts_only_the_services_whose_files_changed(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = replace(stack, folder=tmp_path / "stage")
    shutil.copytree(stage_stack(3).folder, stack.folder)
    driver = FakeDriver(dict.fromkeys(SERVICES, "running"))
    use(driver, monkeypatch)
    lifecycle.up(stack, print)
    assert freshness.changed_since_start(stack, driver) == {}
    assert freshness.ran_folder(stack) == stack.folder
    source = stack.folder / "fastapi-app/services/queue_service.py"
    ran = source.read_bytes()
    source.write_text("# edited\n")

    assert set(freshness.changed_since_start(stack, driver)) == set(API_SERVERS)
    assert (freshness.ran_folder(stack) / "fastapi-app/services/queue_service.py").read_bytes() == ran
    with pytest.raises(ClewError, match=r"queue_service\.py changed after fastapi-server-1, fastapi-server-2"):
        freshness.require_current(stack, driver)
    driver.asked.clear()
    said: list[str] = []
    lifecycle.up(stack, said.append)
    assert driver.asked == [("up",), ("restart", *API_SERVERS)]
    assert f"Restarting {', '.join(API_SERVERS)}: {shown(source)} changed after they started." in said

    driver.asked.clear()
    conf = stack.folder / "nginx/nginx.conf"
    conf.write_bytes((stage_stack(0).folder / "nginx/nginx.conf").read_bytes())
    lifecycle.up(stack, said.append)
    assert f"Restarting {NGINX}: {shown(conf)} changed after it started." in said
    assert driver.asked == [("up",), ("reload",)]

    driver.asked.clear()
    conf.write_text("# neither of the two that are known to be right\n")
    lifecycle.up(stack, print)
    assert driver.asked == [("up",), ("restart", NGINX)]

    driver.asked.clear()
    (stack.folder / "compose.yaml").write_text("# other\n")
    lifecycle.up(stack, print)
    assert driver.asked == [("down",), ("up",)]


def test_a_refresh_restarts_what_does_not_run_the_files_on_disk_and_notes_that_it_does_now(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = replace(stack, folder=tmp_path / "mix")
    ladder.write_mix("00000", stack.folder)
    driver = FakeDriver(dict.fromkeys(SERVICES, "absent"))
    use(driver, monkeypatch)
    lifecycle.up(stack, print)

    expected = {
        "10000": [("reload",)],
        "10100": [("restart", *API_SERVERS)],
        "00101": [("restart", *WORKERS), ("reload",)],
        "00001": [("restart", *API_SERVERS)],
    }
    for mix, asked in expected.items():
        driver.asked.clear()
        ladder.write_mix(mix, stack.folder)
        refresh(stack, driver)
        assert driver.asked == asked
        assert freshness.changed_since_start(stack, driver) == {}
    driver.asked.clear()
    refresh(stack, driver)
    assert driver.asked == []


def test_a_refresh_starts_what_is_not_running_although_no_file_changed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a file that could not be imported, and was corrected while the services waited for their next start."""
    driver = FakeDriver(dict.fromkeys(SERVICES, "running"))
    driver.states.update({API_SERVERS[0]: "stopped", NGINX: "stopped", WORKERS[0]: "paused"})
    waited: list[str] = []
    monkeypatch.setattr(ready, "wait_ready", lambda stack, services, *_: waited.extend(services))

    refresh(stack, driver)

    assert driver.asked == [("restart", NGINX, API_SERVERS[0], WORKERS[0])]
    assert waited == [NGINX, API_SERVERS[0], WORKERS[0]]
    assert freshness.changed_since_start(stack, driver) == {}


@pytest.mark.parametrize(("after", "said"), [(0, True), (100, False)])
def test_a_long_wait_for_another_command_is_said(
    stack: Stack, after: float, said: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifecycle, "SAY_SO_AFTER", after)

    with (
        lifecycle.only_one(stack),
        pytest.raises(ClewError, match="another command that starts or ends Stage 3"),
        lifecycle.only_one(stack, seconds=0.3),
    ):
        pytest.fail("two have it")

    expected = "Waiting for another command that starts or ends Stage 3, up to 0 s.\n" if said else ""
    assert capsys.readouterr().err == expected


def test_a_file_that_is_edited_during_an_up_counts_as_edited(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(stack.folder, tmp_path / "copy")
    stack = replace(stack, folder=tmp_path / "copy")
    driver = FakeDriver(dict.fromkeys(SERVICES, "absent"))
    use(driver, monkeypatch)
    tasks = stack.folder / "celery-worker/tasks.py"

    lifecycle.up(stack, lambda text: tasks.write_text("# edited while it starts\n") and None)

    assert set(freshness.changed_since_start(stack, driver)) == set(WORKERS)


def test_an_error_of_the_roll_back_does_not_hide_the_first(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(dict.fromkeys(SERVICES, "absent"), fails=True)
    use(driver, monkeypatch)

    def down() -> None:
        raise ClewError("Docker hangs.", "make doctor")

    monkeypatch.setattr(driver, "down", down)
    with pytest.raises(ClewError, match=r"(?s)half-way.*could not be ended: Docker hangs"):
        lifecycle.up(stack, print)


def test_a_borrowed_stack_that_was_up_stays_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(dict.fromkeys(SERVICES, "running"))
    use(driver, monkeypatch)
    with lifecycle.borrowed(stack, print):
        pass
    assert driver.asked == [("up",)]


def test_a_borrowed_stack_that_was_down_is_down_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(dict.fromkeys(SERVICES, "absent"))
    use(driver, monkeypatch)
    with lifecycle.borrowed(stack, print):
        monkeypatch.setattr(lifecycle, "running_driver", lambda *_, **__: driver)
    assert driver.asked == [("up",), ("down",)]


def test_without_notes_a_file_that_changed_after_the_start_counts_as_edited(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a bare `docker compose up`."""
    driver = FakeDriver(dict.fromkeys(SERVICES, "running"))
    assert freshness.changed_since_start(stack, driver) == {}

    conf = (stack.folder / "nginx/nginx.conf").stat().st_ctime
    monkeypatch.setattr(driver, "started", lambda: {NGINX: conf - 0.001})
    assert freshness.changed_since_start(stack, driver)[NGINX]


def test_a_stack_in_use_is_refused_with_the_process_that_has_it(stack: Stack) -> None:
    with (
        lifecycle.reserved(stack),
        pytest.raises(ClewError, match=f"process {os.getpid()}"),
        lifecycle.reserved(stack),
    ):
        pytest.fail("two have it")
    with lifecycle.reserved(stack):
        pass


@pytest.fixture
def hanging_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker command that notes that it was called, and hangs."""
    calls = tmp_path / "calls"
    script = tmp_path / "bin/docker"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\necho "$1" >>"{calls}"\nexec sleep 600\n')
    script.chmod(0o755)
    calls.touch()
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    monkeypatch.setattr(docker, "LIST_SECONDS", 0.5)
    monkeypatch.setattr(docker, "_silent_since", None)
    monkeypatch.delenv("DRIVER", raising=False)
    return calls


def test_an_engine_that_hangs_is_asked_once_by_a_command(stack: Stack, hanging_docker: Path) -> None:
    for one in all_stacks():
        with pytest.raises(docker.SilentEngine, match="does not answer within"):
            lifecycle.down(one)
    assert hanging_docker.read_text().split() == ["ps"]


def test_with_driver_local_docker_is_not_asked(
    stack: Stack, hanging_docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIVER", "local")
    assert running_driver(stack) is None
    assert hanging_docker.read_text() == ""


def test_an_engine_that_hangs_does_not_prevent_local_processes(
    stack: Stack, hanging_docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(choice.LocalDriver, "prepare", lambda *_: None)
    with pytest.raises(docker.SilentEngine):
        running_driver(stack)

    assert choice.choose(stack, said.append).name == "local"
    assert said == ["Running as local processes. The Docker engine does not answer."]


def test_stacks_on_other_ports_are_known_by_their_notes(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stage-2-222", "lattice", "not-a-stack"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "port").write_text("22220")
    (tmp_path / "stage-4-222").mkdir()

    assert [(one.name, one.title) for one in stacks_elsewhere()] == [
        ("lattice", "The lattice stack (CLEW_PORTS=80)"),
        ("stage-2-222", "Stage 2 (CLEW_PORTS=222)"),
    ]
    assert [one.called for one in stacks_elsewhere()] == [
        "the lattice stack (CLEW_PORTS=80)",
        "Stage 2 (CLEW_PORTS=222)",
    ]
    assert stacks_elsewhere()[1].command("down") == "make stage-2 down CLEW_PORTS=222"


def test_an_exported_port_moves_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9")
    assert stage_stack(3).port == stack.port
    assert stage_stack(3, "8123").port == 8123
