"""What this machine has: which driver will be used and why, what is missing, and what that costs."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import asdict, dataclass
from typing import Any

from clew import ladder, provision
from clew.core.errors import ClewError
from clew.stacks.drivers import running_driver
from clew.stacks.drivers.choice import wanted_driver, why_not_docker
from clew.stacks.stack import Stack, all_stacks


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `cost` says what its absence costs, and is empty when it is there."""

    name: str
    found: str
    cost: str = ""


def examine() -> dict[str, Any]:
    """Return `driver`, `why` and `findings`, one for each thing that running the stages may need."""
    docker = provision.docker_state()
    reason = why_not_docker(docker)
    wanted = wanted_driver()
    driver = wanted or ("local" if reason else "docker")
    why = f"DRIVER={wanted} asks for it" if wanted else (reason or f"Docker engine {docker.version} answers")
    findings = [
        Finding("Python", platform.python_version()),
        _finding("Docker engine", docker.version, "the nine services run as local processes instead"),
        _finding("Docker Compose v2", docker.compose, "`up` fetches it first: a few seconds, from Debian's packages"),
        _finding("Docker buildx", docker.buildx, "`up` fetches it before it builds: a few seconds"),
        Finding("image clew-stack", docker.image, "" if docker.image == "current" else _image_cost(docker)),
        _program("nginx", provision.find_nginx()),
        _program("redis-server", provision.find_redis()),
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
    base = "" if docker.base else ", and half a minute more when its base must be made from Debian's packages"
    return f"`up` builds it first: about a minute{base}"


def _program(name: str, path: Any) -> Finding:
    return _finding(
        name, str(path or ""), "only the local driver needs it; `up` unpacks Debian's into .clew/cache first"
    )


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
