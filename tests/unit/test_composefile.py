"""stack/compose.yaml as Compose reads it, and what each driver runs from it."""
# ruff: noqa: S104, S108, RUF024 - addresses and paths in containers; tables that nothing changes

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from clew.core.errors import ClewError
from clew.core.paths import STACK
from clew.stacks import composefile
from clew.stacks.composefile import COMPOSE_FILE, Service
from clew.stacks.drivers.local.programs import Program, programs
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES, WORKERS
from clew.stacks.stack import Stack, stage_stack
from taskqueue.contract import QUEUES

FLAGS = {
    **dict.fromkeys(
        API_SERVERS,
        {
            "--host": "0.0.0.0",
            "--port": "8000",
            "--timeout-keep-alive": "75",  # longer than nginx keeps a connection open
            "--timeout-graceful-shutdown": "5",  # shorter than the stop grace
            "--no-access-log": None,  # its lines would have no ID
        },
    ),
    **dict.fromkeys(
        WORKERS,
        {
            "-A": "tasks",
            "--concurrency": "4",
            "-Q": ",".join(QUEUES),
            "--without-mingle": None,
            "--without-gossip": None,
            "--quiet": None,
        },
    ),
    REDIS: {"--dir": "/data", "--bind": "0.0.0.0", "--port": "6379", "--protected-mode": "no"},
    NGINX: {"-p": "/tmp/", "-c": "/srv/stack/nginx/durable.conf"},
    FLOWER: {"--port=5555": None, "--address=0.0.0.0": None, "--logging=none": None, "-A": "taskqueue.monitor"},
}
HOME = Path("/state/a b%/local")


@pytest.fixture
def stack() -> Stack:
    return stage_stack(3)


def read(stack: Stack, file: Path = COMPOSE_FILE) -> dict[str, Service]:
    return composefile.read(stack.folder, stack.compose_environment, file)


def value_after(command: tuple[str, ...], flag: str) -> str:
    return command[command.index(flag) + 1]


def test_the_file_describes_the_nine(stack: Stack) -> None:
    services = read(stack)
    assert set(services) == set(SERVICES)
    # A worker's longest task takes 60 s, and Celery 35 s more.
    assert {name: service.stop_seconds for name, service in services.items()} == dict.fromkeys(
        SERVICES, 10
    ) | dict.fromkeys(WORKERS, 100)
    assert {name for name, service in services.items() if service.stop_signal == "SIGQUIT"} == {NGINX}
    assert {service.stop_signal for service in services.values()} == {"SIGQUIT", "SIGTERM"}
    assert all((service.log_bytes, service.log_files) == (20 * 2**20, 2) for service in services.values())


def test_every_host_port_is_the_one_of_the_table(stack: Stack) -> None:
    found = {name: list(service.ports.values()) for name, service in read(stack).items()}

    assert found == {name: [stack.ports[name]] if name in stack.ports else [] for name in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_flags_that_it_needs(stack: Stack, service: str) -> None:
    command = read(stack)[service].command

    for flag, value in FLAGS[service].items():
        assert flag in command
        assert value is None or value_after(command, flag) == value


@pytest.mark.parametrize("service", [*API_SERVERS, *WORKERS, FLOWER])
def test_a_python_service_has_the_variables_that_it_needs(stack: Stack, service: str) -> None:
    environment = read(stack)[service].environment

    assert environment["SERVICE_NAME"] == service
    role = "flower" if service == FLOWER else "worker" if service in WORKERS else "api"
    assert environment["REDIS_URL"] == f"redis://{role}@redis-broker:6379/0"
    assert environment["REDIS_PASSWORD_FILE"] == f"/secrets/{role}/redis-password"
    others = {"api", "worker", "flower", "metrics", "operator"} - {role}
    assert not {f"/secrets/{other}" for other in others} & set(read(stack)[service].volumes)
    assert environment["PYTHONPATH"] == "/srv/stack"
    assert {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "OPENBLAS_NUM_THREADS"} <= set(environment)
    for name in ("READY_FILE", "METRICS_ADDRESS", "PROMETHEUS_MULTIPROC_DIR"):
        assert (name in environment) is (service in WORKERS)


def in_container(text: str, service: Service, program: Program, stack: Stack) -> str:
    """Return a word of a local command as the file has it: the replacements undone."""
    for place, name in {
        f"{HOME}/srv/stack/nginx": "/srv/stack/nginx",
        f"{HOME}/tmp/{service.name}": "/tmp",
        f"{HOME}/volumes/redis-data": "/data",
        f"{HOME}/volumes/secrets-": "/secrets/",
        str(STACK): "/srv/stack",
        str(stack.folder): "/srv/stage",
    }.items():
        text = text.replace(place, name)
    text = text.replace(f"127.0.0.1:{stack.ports[REDIS]}", "redis-broker:6379")
    for container, host in service.local_ports.items():
        text = text.replace(f"127.0.0.1:{host}", f"{service.name}:{container}")
    text = text.replace("127.0.0.1", "0.0.0.0")
    for container, host in service.ports.items():
        text = re.sub(rf"\b{host}\b", str(container), text)
    return text


@pytest.mark.parametrize("name", SERVICES)
def test_the_local_driver_runs_what_the_file_says(stack: Stack, name: str) -> None:
    service, program = read(stack)[name], programs(stack, HOME)[name]
    python = [sys.executable, "-m", service.command[0]]
    start = 3 if list(program.command[:3]) == python else 1
    arguments = [in_container(word, service, program, stack) for word in program.command[start:]]
    if name == REDIS:  # the program that the script starts
        assert Path(arguments[8]).name.replace("valkey", "redis") == "redis-server"
        arguments[8] = "redis-server"
    if name in WORKERS:
        assert arguments[-2:] == ["--hostname", f"celery@{service.hostname}"]
        arguments = arguments[:-2]

    assert Path(program.command[start - 1]).name.replace("valkey", "redis") == service.command[0]
    assert arguments == list(service.command[1:])
    variables = {key: in_container(value, service, program, stack) for key, value in program.environment.items()}
    assert variables == service.environment
    assert in_container(str(program.folder), service, program, stack) == (service.working_dir or "/tmp")
    kept = ("stop_signal", "stop_seconds", "log_bytes", "log_files")
    assert [getattr(program, name) for name in kept] == [getattr(service, name) for name in kept]


def test_no_service_of_the_local_driver_listens_on_other_addresses(stack: Stack) -> None:
    for program in programs(stack, HOME).values():
        assert "0.0.0.0" not in " ".join(program.command)
        assert "8000" not in program.command


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The file with one more flag and one more variable for the API servers."""
    text = COMPOSE_FILE.read_text()
    text = text.replace('--timeout-graceful-shutdown, "5"]', '--timeout-graceful-shutdown, "5", --backlog, "99"]')
    text = text.replace('  PYTHONUNBUFFERED: "1"', '  ADDED: "yes"\n  PYTHONUNBUFFERED: "1"')
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    return file


def test_a_flag_and_a_variable_that_are_added_reach_the_local_driver(stack: Stack, changed: Path) -> None:
    found = programs(stack, HOME, changed)

    assert all(value_after(found[server].command, "--backlog") == "99" for server in API_SERVERS)
    assert all(found[name].environment["ADDED"] == "yes" for name in (*API_SERVERS, *WORKERS, FLOWER))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A-${A}", "1-1"),
        ("${EMPTY:-x}${EMPTY-x}${NONE:-y}${NONE-z}", "xyz"),
        ("${NONE:-${A}0${NONE:-2}}", "102"),
        ("$$A costs $$5", "$A costs $5"),
        ("${NONE}.", "."),
    ],
)
def test_variables_are_replaced_as_compose_does_it(text: str, expected: str) -> None:
    assert composefile._interpolated({"$A": [text]}, {"A": "1", "EMPTY": ""}) == {"$A": [expected]}


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600)])
def test_durations(text: str, seconds: float) -> None:
    assert composefile._seconds(text) == seconds


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("${STAGE}1:8000", "${STAGE:?}1:8000", "in a form other"),
        ("stop_grace_period: 10s", "stop_grace_period: soon", "'soon' is not a duration"),
        ('OPENBLAS_NUM_THREADS: "1"', "OPENBLAS_NUM_THREADS: yes", "OPENBLAS_NUM_THREADS is True"),
        ("max-size: 20m", "max-size: big", "'big' is not a size"),
        ("services:", "services: [", "cannot be read"),
        ("services:", "service:", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(stack: Stack, tmp_path: Path, old: str, new: str, reason: str) -> None:
    file = tmp_path / "compose.yaml"
    assert old in COMPOSE_FILE.read_text()
    file.write_text(COMPOSE_FILE.read_text().replace(old, new))

    with pytest.raises(ClewError, match=re.escape(reason)) as failed:
        read(stack, file)
    assert failed.value.next_step.startswith("git diff ")


def test_a_program_that_the_local_driver_does_not_know_is_refused(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE_FILE.read_text().replace("[nginx,", "[memcached,"))

    with pytest.raises(ClewError, match="'memcached'"):
        programs(stack, HOME, file)
