"""What this machine has: which driver will be used and why, what is missing, and what to do about it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clew import ladder, provision
from clew.core.errors import ClewError
from clew.provision.docker import new_enough
from clew.provision.platforms import install_line
from clew.stacks.drivers import running_driver
from clew.stacks.drivers.choice import wanted_driver, why_not_docker
from clew.stacks.stack import Stack, all_stacks


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for; `cost` says what it means when it is missing, and is empty when it is there."""

    name: str
    found: str
    cost: str = ""


def examine() -> dict[str, Any]:
    """Return `driver`, `why`, `findings` (one for each thing that a stage may need), `up` and `ladder`."""
    docker = provision.docker_state()
    reason = why_not_docker(docker)
    wanted = wanted_driver()
    driver = wanted or ("local" if reason else "docker")
    why = f"DRIVER={wanted} asks for it" if wanted else (reason or f"Docker engine {docker.version} answers")
    findings = [
        Finding("Python", platform.python_version()),
        _finding("Docker engine", docker.version, "the nine services run as local processes instead"),
        _compose(docker.compose),
        _finding("Docker buildx", docker.buildx, "`up` fetches it before it builds, in a few seconds"),
        Finding("image clew-stack", docker.image, "" if docker.image == "current" else _image_cost(docker)),
        _program("nginx", "nginx", provision.find_nginx()),
        _program("redis-server", "redis", provision.find_redis()),
        _group("notebooks", "jupyterlab"),
        _group("docs", "mkdocs"),
        _group("test", "pytest"),
    ]
    if reason:
        findings = [f for f in findings if not f.name.startswith(("Docker C", "Docker b", "image"))]
    return {
        "driver": driver,
        "why": why,
        "findings": [asdict(finding) for finding in findings],
        "up": {stack.name: _up(stack) for stack in all_stacks()},
        "ladder": ladder.disagreements(),
    }


def _finding(name: str, found: str, cost: str) -> Finding:
    return Finding(name, found or "missing", "" if found else cost)


def _image_cost(docker: provision.DockerState) -> str:
    base = (
        "" if docker.base else ", plus 45 s if its base image cannot be pulled and must be built from Debian's packages"
    )
    return f"`up` builds it first: about a minute{base}"


def _compose(version: str) -> Finding:
    usable = not version or new_enough(version)
    cost = "`up` fetches it from Debian's packages first, in a few seconds"
    return _finding("Docker Compose v2", version, cost) if usable else Finding("Docker Compose v2", version, cost)


def _program(name: str, need: str, path: Path | None) -> Finding:
    how = "`up` unpacks Debian's into .clew/cache first" if shutil.which("apt-get") else install_line(need)
    return _finding(name, str(path or ""), f"only the local driver needs it; {how}")


def _group(name: str, module: str) -> Finding:
    present = importlib.util.find_spec(module) is not None
    return _finding(
        f"Python packages: {name}", "installed" if present else "", "installed by the first command that needs them"
    )


def _up(stack: Stack) -> str:
    try:
        driver = running_driver(stack)
    except ClewError:
        return "unknown"
    return f"up, {driver.name}" if driver else "down"
