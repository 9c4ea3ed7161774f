"""What every driver does, whichever runs the stack: the table in `clew/stacks/drivers/base.py`."""

from __future__ import annotations

import subprocess
import time

import httpx
import psutil
import pytest
from up import Up

from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.evidence import client
from clew.evidence.trace import trace
from clew.stacks import ready
from clew.stacks.drivers.docker import DockerDriver
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.services import API_SERVERS, NGINX, REDIS, SERVICES, WORKERS

SERVER, WORKER = API_SERVERS[1], WORKERS[1]
LONG_PATH = 7000  # nginx logs a path twice, in one line that stays below Docker's 16 KiB


def state(up: Up, service: str) -> str:
    return up.driver.status()[service]


def main_process(up: Up, service: str) -> psutil.Process:
    """Return the main process of a service: a container's first one is an init, and the oldest that it started."""
    if isinstance(up.driver, LocalDriver):
        own = up.driver.processes()
        supervisor = next(process for process in own if "supervise.py" in " ".join(process.cmdline()))
        return next(child for child in supervisor.children() if service in words_of(child))
    assert isinstance(up.driver, DockerDriver)
    command = ["docker", "inspect", "--format", "{{.State.Pid}}", up.driver._container(service).id]
    init = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    children = psutil.Process(int(init.stdout)).children()  # what a health check leaves behind is among them
    return min(children, key=lambda child: child.create_time())


def words_of(process: psutil.Process) -> str:
    return f"{process.cwd()} {process.environ().get('SUPERVISOR_PROCESS_NAME')}"


def put_in(up: Up, service: str, wanted: str) -> None:
    {"running": lambda _: None, "paused": up.driver.pause, "stopped": up.driver.stop}[wanted](service)
    assert state(up, service) == wanted


def test_up_brings_all_nine_up(up: Up) -> None:
    assert set(up.driver.status()) == set(SERVICES)
    assert set(up.driver.status().values()) == {"running"}
    assert trace(up.stack, driver=up.driver).verdicts == ("kept", "kept", "kept", "kept", "missing")


@pytest.mark.parametrize("before", ["running", "paused", "stopped"])
@pytest.mark.parametrize("verb", ["kill", "stop"])
def test_kill_and_stop_end_a_service_that_stays_down_until_start(up: Up, verb: str, before: str) -> None:
    put_in(up, SERVER, before)

    getattr(up.driver, verb)(SERVER)

    assert state(up, SERVER) == "stopped"
    assert not ready.is_ready(up.stack, SERVER)
    up.driver.start(SERVER)
    assert state(up, SERVER) == "running"
    ready.wait_ready(up.stack, [SERVER])


@pytest.mark.parametrize("before", ["running", "paused", "stopped"])
def test_start_brings_any_service_to_running(up: Up, before: str) -> None:
    process = main_process(up, SERVER)  # asked first: the engine may not answer while a health check begins in a pause
    put_in(up, SERVER, before)

    up.driver.start(SERVER)

    assert state(up, SERVER) == "running"
    ready.wait_ready(up.stack, [SERVER])
    assert (main_process(up, SERVER) == process) is (before != "stopped")


@pytest.mark.parametrize("before", ["running", "paused", "stopped"])
def test_restart_gives_a_new_process_in_any_state(up: Up, before: str) -> None:
    process = main_process(up, WORKER)
    put_in(up, WORKER, before)
    began = time.time()

    up.driver.restart([WORKER])

    assert state(up, WORKER) == "running"
    ready.wait_ready(up.stack, [WORKER], after=began)
    assert not process.is_running()


def test_pause_freezes_a_service_and_unpause_lets_it_continue(up: Up) -> None:
    for _ in range(2):  # the second time there is nothing to do
        up.driver.pause(SERVER)
        assert state(up, SERVER) == "paused"
        assert not ready.is_ready(up.stack, SERVER)
    for _ in range(2):
        up.driver.unpause(SERVER)
        assert state(up, SERVER) == "running"
    ready.wait_ready(up.stack, [SERVER])


def test_pause_freezes_the_processes_that_a_worker_has_started(up: Up) -> None:
    family = [main_process(up, WORKER), *main_process(up, WORKER).children(recursive=True)]
    assert len(family) > 4  # one for each task that it runs at the same time
    up.driver.pause(WORKER)
    before = [process.cpu_times()[:2] for process in family]
    wait_until(lambda: not ready.is_ready(up.stack, WORKER), 15, "the worker's heartbeat to expire", "")

    assert [process.cpu_times()[:2] for process in family] == before
    up.driver.unpause(WORKER)
    ready.wait_ready(up.stack, [WORKER])


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_what_is_stopped_cannot_be_paused(up: Up, verb: str) -> None:
    up.driver.stop(SERVER)

    with pytest.raises(ClewError, match="Next: "):
        getattr(up.driver, verb)(SERVER)

    assert state(up, SERVER) == "stopped"


def test_a_stopped_nginx_cannot_reload(up: Up) -> None:
    up.driver.stop(NGINX)

    with pytest.raises(ClewError, match="Next: "):
        up.driver.reload_nginx()


def test_a_service_that_does_not_exist_is_refused(up: Up) -> None:
    for verb in (up.driver.kill, up.driver.stop, up.driver.start, up.driver.pause, up.driver.unpause):
        with pytest.raises(ClewError, match="nosuch"):
            verb("nosuch")


def test_up_heals_what_is_stopped_paused_or_killed(up: Up) -> None:
    up.driver.stop(API_SERVERS[0])
    up.driver.pause(API_SERVERS[1])
    up.driver.kill(WORKERS[0])
    up.driver.pause(REDIS)

    up.driver.up()

    assert set(up.driver.status().values()) == {"running"}
    ready.wait_ready(up.stack)


@pytest.mark.parametrize("service", [NGINX, API_SERVERS[0], WORKERS[0]])
def test_a_service_whose_main_process_is_killed_comes_back(up: Up, service: str) -> None:
    """nginx's other process and a worker's pool must not outlive it: they would keep the port, and the tasks."""
    main = main_process(up, service)
    children = main.children(recursive=True)
    began = time.time()
    main.kill()

    wait_until(lambda: not any(child.is_running() for child in children), 10, "the other processes to end", "")
    ready.wait_ready(up.stack, [service], after=began if service in WORKERS else 0)
    wait_until(lambda: state(up, service) == "running", 40, f"{service} to run", "")
    assert main_process(up, service) != main
    assert trace(up.stack, driver=up.driver).task_id


@pytest.mark.parametrize("since_the_start", [False, True], ids=["all", "since"])
def test_logs_are_complete_across_rotation(up: Up, since_the_start: bool) -> None:
    mark = f"rotation-{since_the_start}"
    began = time.time() - 1
    count = 1700  # lines of 14 kB: more than one file takes
    with httpx.Client(trust_env=False, timeout=10) as http:
        for number in range(count):
            http.request("TRACE", f"{up.stack.url}/{mark}-{number}-{'x' * LONG_PATH}")  # which nginx itself refuses

    def written() -> list[str]:
        lines = up.driver.logs(began if since_the_start else None)[NGINX]
        return [line for line in lines if f'"path":"/{mark}-' in line]

    wait_until(lambda: f"/{mark}-{count - 1}-" in written()[-1], 20, "the last line", "", every=0.5)
    found = [line.partition(f'"path":"/{mark}-')[2].partition("-")[0] for line in written()]
    assert found == [str(number) for number in range(count)]


def test_a_stop_is_in_time_when_a_process_of_the_service_will_not_end(up: Up) -> None:
    """Its children are frozen, so that none of them can act on a signal; the pipe of its log stays open."""
    for child in main_process(up, NGINX).children(recursive=True):
        child.suspend()
    began = time.monotonic()

    up.driver.stop(NGINX)

    assert state(up, NGINX) == "stopped"
    assert time.monotonic() - began < 40  # the stop grace is 10 s
    up.driver.start(NGINX)


def test_a_task_waits_while_all_workers_are_paused(up: Up) -> None:
    for worker in WORKERS:
        up.driver.pause(worker)
    with httpx.Client(base_url=up.stack.url, trust_env=False, timeout=10) as http:
        task = f"/api/v1/tasks/{http.post('/api/v1/tasks', json=client.seeded_body()).json()['task_id']}"
        wait_until(lambda: not ready.worker_boots(up.stack), 15, "the workers' heartbeats to expire", "")
        assert http.get(task).json()["status"] == "PENDING"
        for worker in WORKERS:
            up.driver.unpause(worker)
        wait_until(lambda: http.get(task).json()["status"] == "SUCCESS", 30, "the task to end", "")
