"""What each service of stack/compose.yaml is as a process of this machine.

The same command and variables, with four things replaced: the program by where it is here, a service's container port
by its host port, `service:port` by the loopback address, and paths in containers by the folders behind them.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from clew import provision
from clew.core.errors import ClewError
from clew.core.paths import STACK
from clew.stacks import composefile
from clew.stacks.composefile import COMPOSE_FILE, Service
from clew.stacks.services import NGINX
from clew.stacks.stack import Stack

LOOPBACK = "127.0.0.1"
NGINX_FILES = "/srv/stack/nginx"  # copied, because addresses are replaced in them


@dataclass(frozen=True)
class Program:
    """A service as a process; the fields are those of composefile.Service, with this machine's paths and ports."""

    command: tuple[str, ...]
    folder: Path
    environment: dict[str, str]
    stop_signal: str
    stop_seconds: float
    log_bytes: int
    log_files: int


def programs(stack: Stack, home: Path, file: Path = COMPOSE_FILE) -> dict[str, Program]:
    """Return each service's process for a stack whose files are in `home`.

    Raises:
        ClewError: compose.yaml cannot be read, or runs a program that this driver does not know.
    """
    services = composefile.read(stack.folder, stack.compose_environment, file)
    return {name: _program(service, services, home) for name, service in services.items()}


def write_folders(stack: Stack, home: Path) -> None:
    """Make the folders that the processes need, with a copy of nginx's configuration that has this machine's addresses.

    Raises:
        OSError: they cannot be written.
    """
    services = composefile.read(stack.folder, stack.compose_environment)
    for name, service in services.items():
        (home / "tmp" / name).mkdir(parents=True)
        for source in service.volumes.values():
            if "/" not in source:
                (home / "volumes" / source).mkdir(parents=True, exist_ok=True)
    (home / "logs").mkdir()
    (home / "srv/stack").mkdir(parents=True)
    (home / "srv/stage").symlink_to(stack.folder)
    write_nginx_files(stack, home)


def write_nginx_files(stack: Stack, home: Path) -> None:
    """Copy nginx's configuration from `stack/nginx`, with this machine's addresses."""
    services = composefile.read(stack.folder, stack.compose_environment)
    nginx = services[NGINX]
    ports = nginx.ports | nginx.local_ports
    target = home / "srv/stack/nginx"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(STACK / "nginx", target)
    for file in target.rglob("*.conf"):
        content = re.sub(
            r"\blisten (\d+);", lambda found: f"listen {LOOPBACK}:{ports[int(found[1])]};", file.read_text()
        )
        file.write_text(_with_addresses(content, services))


def _program(service: Service, services: Mapping[str, Service], home: Path) -> Program:
    def here(text: str) -> str:
        return _with_addresses(_with_paths(text, service, home), services)

    program = service.command[0]
    command: list[str] = []
    for before, word in pairwise(("--", *service.command)):  # after `--` comes the program that a script starts
        command += _found(word) if before == "--" else [here(_with_ports(word, service))]
    if service.hostname is not None and program == "celery":
        # A process has no host name of its own, and Celery names a worker after its host.
        command += ["--hostname", f"celery@{service.hostname}"]
    return Program(
        command=tuple(command),
        folder=Path(_with_paths(service.working_dir or "/tmp", service, home)),  # noqa: S108 - a container's own
        environment={name: here(value) for name, value in service.environment.items()},
        stop_signal=service.stop_signal,
        stop_seconds=service.stop_seconds,
        log_bytes=service.log_bytes,
        log_files=service.log_files,
    )


def _found(program: str) -> list[str]:
    if program in ("celery", "uvicorn"):
        return [sys.executable, "-m", program]
    if program == "nginx":
        return [str(provision.find_nginx() or program)]
    if program == "redis-server":
        return [str(provision.find_redis() or program)]
    if program == "bash":
        return ["/bin/bash"]
    raise ClewError(f"stack/compose.yaml runs {program!r}, which the local driver does not know.", "make doctor")


def _with_ports(argument: str, service: Service) -> str:
    """Replace the address and the port that a service listens on, as a whole argument or after `=`."""
    option, equals, value = argument.rpartition("=")
    if value == "0.0.0.0":  # noqa: S104 - it is replaced
        value = LOOPBACK
    elif value.isdigit() and int(value) in service.ports:
        value = str(service.ports[int(value)])
    return f"{option}{equals}{value}"


def _with_addresses(text: str, services: Mapping[str, Service]) -> str:
    """Replace each `service:port` by where that service listens on this machine."""
    for name, service in services.items():
        for container, host in (*service.ports.items(), *service.local_ports.items()):
            text = re.sub(rf"(?<![\w-]){name}:{container}\b", f"{LOOPBACK}:{host}", text)
    return text


def _with_paths(text: str, service: Service, home: Path) -> str:
    """Replace a path in the service's container by the path of the same file or folder here."""
    folders = {NGINX_FILES: str(home / "srv/stack/nginx"), "/tmp": str(home / "tmp" / service.name)}  # noqa: S108
    for target, source in service.volumes.items():
        folders.setdefault(target, source if "/" in source else str(home / "volumes" / source))
    for target, source in folders.items():
        if text == target or text.startswith(f"{target}/"):
            return source + text.removeprefix(target)
    return text
