"""What only the local driver must withstand: the user's shell, other users, crashes of supervisord and of services."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from up import Up

from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.evidence.trace import trace
from clew.stacks import lifecycle, ready
from clew.stacks.drivers.local import LocalDriver, supervisord
from clew.stacks.services import API_SERVERS, NGINX, SERVICES, WORKERS
from clew.stacks.stack import stage_stack

HOSTILE = {
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "CELERY_RESULT_BACKEND": "redis://127.0.0.1:1/0",
    "CELERY_WORKER_CONCURRENCY": "1",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "PYTHONPATH": "/nonexistent",
    "PYTHONHOME": "/nonexistent",
    "PYTHONSTARTUP": "/nonexistent",
    "UVICORN_PORT": "1",
    "UVICORN_HOST": "192.0.2.1",
    "FLOWER_PORT": "1",
    "PORT": "1",
    "SERVICE_NAME": "hostile",
    "READY_FILE": "/nonexistent",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "HTTP_PROXY": "http://127.0.0.1:1",
}


@pytest.fixture(scope="module")
def hostile_shell() -> Iterator[dict[str, str]]:
    """Export what would break a service that saw it; TMPDIR has a % and 90 characters."""
    base = Path(tempfile.mkdtemp(prefix="clew-%d-", dir="/tmp"))
    deep = base / ("x" * (89 - len(str(base))))
    deep.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**HOSTILE, "TMPDIR": str(deep)}.items():
            patch.setenv(name, value)
        patch.setattr(tempfile, "tempdir", None)
        yield dict(os.environ)
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def stack_up() -> Iterator[Up]:
    stack = stage_stack(5)
    yield Up(stack, LocalDriver(stack))
    lifecycle.down(stack)


@pytest.fixture
def up(stack_up: Up, request: pytest.FixtureRequest) -> Up:
    if set(stack_up.driver.status().values()) != {"running"}:
        hostile = request.getfixturevalue("hostile_shell")  # every start of this module is from such a shell
        assert len(hostile["TMPDIR"]) >= 89
        stack_up.driver.prepare(print)
        stack_up.driver.up()
    ready.wait_ready(stack_up.stack)
    return stack_up


def local(up: Up) -> LocalDriver:
    assert isinstance(up.driver, LocalDriver)
    return up.driver


def supervisor_of(driver: LocalDriver) -> psutil.Process:
    return next(process for process in driver.processes() if "supervise.py" in " ".join(process.cmdline()))


def test_what_the_users_shell_exports_changes_nothing(up: Up) -> None:
    run = trace(up.stack, "MY-TRACE-123", driver=up.driver)

    assert (run.verdicts, run.status) == (("kept",) * 5, "SUCCESS")


def test_a_service_sees_the_variables_of_compose_yaml_and_a_few_that_are_named(up: Up) -> None:
    driver = local(up)
    programs = driver.programs()
    seen = 0
    for process in driver.processes():
        environment = process.environ()
        name = environment.get("SUPERVISOR_PROCESS_NAME")
        if name is None or process.name() in ("nginx", "redis-server", "valkey-server"):
            continue  # those write over their environment
        own = {key for key in environment if not key.startswith("SUPERVISOR_")} - {"LC_CTYPE"}
        assert own <= {*programs[name].environment, *supervisord.environment_of_all(driver.home)}
        seen += 1
    assert seen >= len(API_SERVERS) + len(WORKERS)


def test_the_stack_is_found_from_a_shell_with_another_tmpdir(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = {process.pid for process in local(up).processes()}
    other = LocalDriver(up.stack)

    assert set(other.status().values()) == {"running"}
    other.up()
    assert {process.pid for process in other.processes()} == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_is_told_who_runs_the_stack_and_ends_nothing(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = local(up)
    up.stack.state.parent.chmod(0o755)
    before = {process.pid for process in driver.processes()}
    monkeypatch.setenv("CLEW_COMMAND", "make stage-5 down")
    nobody = pwd.getpwnam("nobody")
    os.setegid(nobody.pw_gid)
    os.seteuid(nobody.pw_uid)
    try:
        commands = (lambda: lifecycle.up(up.stack, print), lambda: lifecycle.down(up.stack))
        for verb in (driver.status, driver.preflight, driver.up, driver.down, *commands):
            with pytest.raises(ClewError) as failed:
                verb()
            assert failed.value.message == "Stage 5 is run by the user root."
            assert failed.value.next_step.startswith("sudo make stage-5 down CLEW_PORTS=")
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert {process.pid for process in driver.processes()} == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_owner_of_the_note_is_named_when_it_is_not_root(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisord.Supervisor, "_rpc", refuse)
    note = local(up).supervisor.note
    try:
        os.chown(note, 65534, -1)
        with pytest.raises(ClewError, match="is run by the user nobody") as failed:
            up.driver.status()
        assert failed.value.next_step.startswith("sudo -u nobody ")
        os.chown(note, 54321, -1)
        with pytest.raises(ClewError, match="is run by the user #54321"):
            up.driver.status()
    finally:
        os.chown(note, 0, -1)


def refuse(*_: object) -> None:
    raise PermissionError


def test_the_socket_is_short_and_private(up: Up) -> None:
    path = Path(local(up).supervisor.note.read_text().strip())

    assert len(str(path)) < 60
    assert path.is_socket()
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_supervisor_that_is_frozen_is_not_taken_for_gone(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisord, "RPC_SECONDS", 1)
    driver = local(up)
    before = {process.pid for process in driver.processes()}
    supervisor = supervisor_of(driver)
    supervisor.suspend()
    try:
        assert set(driver.status().values()) == {"running"}
        for verb in (driver.started, lambda: trace(up.stack, driver=driver)):  # no verdict on files it may not run
            with pytest.raises(ClewError, match="does not answer"):
                verb()
        with pytest.raises(ClewError, match=rf"supervisord \(process {supervisor.pid}\) does not answer") as failed:
            driver.up()
        assert "down" in failed.value.next_step
        assert {process.pid for process in driver.processes()} == before
    finally:
        supervisor.resume()


def test_what_a_killed_supervisor_leaves_is_absent_and_ended_by_up(up: Up) -> None:
    driver = local(up)
    supervisor = supervisor_of(driver)
    supervisor.kill()
    supervisor.wait(10)
    orphans = driver.processes()
    assert len(orphans) > len(SERVICES)

    assert set(driver.status().values()) == {"absent"}
    driver.preflight()  # its ports are in use, by what `up` is going to end
    driver.up()
    ready.wait_ready(up.stack)
    assert not any(orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE for orphan in orphans)


def test_a_service_that_cannot_stay_up_does_not_count_as_running(up: Up) -> None:
    """Another program has taken its port while it was stopped: it starts over and over."""
    driver = local(up)
    driver.stop(NGINX)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", up.stack.port))
        taken.listen()
        driver.start(NGINX)
        wait_until(lambda: driver._infos()[NGINX]["failed"] >= 1, 60, "the first start to fail", "", every=0.05)

        def failed_again() -> bool:
            assert driver.status()[NGINX] == "stopped"  # also while the next start is being tried
            return driver._infos()[NGINX]["failed"] >= 2

        wait_until(failed_again, 60, "the second start to fail", "", every=0.05)
    driver.up()
    ready.wait_ready(up.stack, [NGINX])
    wait_until(lambda: driver.status()[NGINX] == "running", 60, "nginx to run", "")


def test_a_child_that_left_the_group_does_not_delay_a_stop(up: Up) -> None:
    """It holds the pipe of the service's log open; `down` finds it by its mark."""
    driver = local(up)
    script = "import subprocess,sys,time; subprocess.Popen(['sleep','600'],start_new_session=True); time.sleep(600)"
    environment = {**supervisord.environment_of_all(driver.home), "SUPERVISOR_PROCESS_NAME": API_SERVERS[0]}
    holder = psutil.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    wait_until(lambda: bool(holder.children()), 20, "the child to start", "")
    child = holder.children()[0]
    driver.restart([API_SERVERS[0]])
    assert {holder.pid, child.pid} <= {process.pid for process in driver.processes()}

    driver.down()

    holder.wait(10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not driver.home.exists()


def test_nginx_serves_and_reloads_after_its_master_was_killed(up: Up) -> None:
    driver = local(up)
    os.kill(driver._infos()[NGINX]["pid"], signal.SIGKILL)
    wait_until(lambda: ready.is_ready(up.stack, NGINX) and driver.status()[NGINX] == "running", 20, "nginx", "")

    assert trace(up.stack, driver=driver).verdicts == ("kept",) * 5
    driver.reload_nginx()
    assert ready.is_ready(up.stack, NGINX)


def test_a_supervisor_that_does_not_answer_does_not_hang_down(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisord, "RPC_SECONDS", 1)
    driver = local(up)
    supervisor_of(driver).suspend()

    lifecycle.down(up.stack)

    assert driver.processes() == []
