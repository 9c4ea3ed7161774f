"""What stack/compose.yaml says about each service, read as Compose reads it.

The Docker driver hands the file to Compose; every other driver gets a service's command, environment, ports and mounts
from here. `docker compose config` and this reader must agree; a test compares them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from clew.core.errors import ClewError
from clew.core.paths import STACK, shown

COMPOSE_FILE = STACK / "compose.yaml"
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?P<rule>:?-)?)")
DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|h|m|s)")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True)
class Service:
    """One service of the file.

    `ports` maps each container port to its host port, `local_ports` those that only the local driver opens on the
    host, `volumes` each container folder to a host folder or to the name of a volume. `stop_signal` asks the service to
    end, for which it has `stop_seconds`. Its log is kept in `log_files` files of at most `log_bytes` bytes.
    """

    name: str
    command: tuple[str, ...]
    working_dir: str | None
    hostname: str | None
    environment: dict[str, str]
    ports: dict[int, int]
    local_ports: dict[int, int]
    volumes: dict[str, str]
    stop_signal: str
    stop_seconds: float
    log_bytes: int
    log_files: int


def read(folder: Path, environment: Mapping[str, str], file: Path = COMPOSE_FILE) -> dict[str, Service]:
    """Return the services of a stack whose stage files are in `folder`, with variables taken from `environment` alone.

    Raises:
        ClewError: the file is not YAML, or uses a form of Compose's syntax that this reader does not know.
    """
    services = content(environment, file)["services"]
    try:
        return {name: _service(name, value, folder) for name, value in services.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(file, error) from None


def content(environment: Mapping[str, str], file: Path = COMPOSE_FILE) -> dict[str, Any]:
    """Return what the file says of `services`, `networks` and `volumes`, as it is there, with variables replaced.

    Raises:
        ClewError: the file is not YAML, has no services, or a variable in a form that is not known here.
    """
    try:
        found = yaml.safe_load(file.read_text())
        services = found["services"]
        others = {key: found.get(key) or {} for key in ("networks", "volumes")}
        return {key: _interpolated(value, environment) for key, value in {"services": services, **others}.items()}
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> ClewError:
    reason = " ".join(str(error).split())
    return ClewError(f"{shown(file)} cannot be read: {reason}.", f"git diff {shown(file)}")


def _service(name: str, described: dict[str, Any], folder: Path) -> Service:
    command = described["command"]
    log = described["logging"]["options"]
    return Service(
        name=name,
        command=tuple(shlex.split(command) if isinstance(command, str) else map(str, command)),
        working_dir=described.get("working_dir"),
        hostname=described.get("hostname"),
        environment={key: _text(key, value) for key, value in described.get("environment", {}).items()},
        ports=dict(_port(text) for text in described.get("ports", [])),
        local_ports=dict(_port(text) for text in described.get("x-local-ports", [])),
        volumes=dict(_volume(text, folder) for text in described.get("volumes", [])),
        stop_signal=described.get("stop_signal", "SIGTERM"),
        stop_seconds=_seconds(described["stop_grace_period"]),
        log_bytes=_bytes(log["max-size"]),
        log_files=int(log["max-file"]),
    )


def _text(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{key} is {value!r}; it must be text or a number, in quotes if YAML reads it otherwise")
    return str(value)


def _port(text: str) -> tuple[int, int]:
    _, host, container = text.split(":")  # an address comes first: no port is open to other machines
    return int(container), int(host)


def _volume(text: str, folder: Path) -> tuple[str, str]:
    source, target = text.split(":")[:2]
    return target, str((folder / source).resolve()) if source.startswith(".") else source


def _seconds(text: str) -> float:
    parts = list(DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(f"{text!r} is not a duration like 10s")
    return sum(float(part["number"]) * SECONDS[part["unit"]] for part in parts)


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)([kmg]?)", text)
    if not found:
        raise ValueError(f"{text!r} is not a size like 20m")
    return int(found[1]) * BYTES[found[2]]


def _interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    """Return a value with the variables in each of its texts replaced, never those in its keys."""
    if isinstance(value, dict):
        return {key: _interpolated(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [_interpolated(inner, environment) for inner in value]
    return _expand(value, environment)[0] if isinstance(value, str) else value


def _expand(text: str, environment: Mapping[str, str], at: int = 0, nested: bool = False) -> tuple[str, int]:
    """Return the text from `at` to its end, or to the closing brace when nested, and where that is."""
    parts = []
    while at < len(text) and not (nested and text[at] == "}"):
        if text[at] != "$":
            parts.append(text[at])
            at += 1
            continue
        found = VARIABLE.match(text, at) or _malformed(text)
        at = found.end()
        if found["dollar"]:
            parts.append("$")
        elif found["plain"]:
            parts.append(environment.get(found["plain"], ""))
        else:
            value, default = environment.get(found["braced"]), ""
            if found["rule"]:
                default, at = _expand(text, environment, at, nested=True)
            if text[at : at + 1] != "}":
                _malformed(text)
            at += 1
            is_unset = not value if found["rule"] == ":-" else value is None
            parts.append(default if value is None or is_unset else value)
    return "".join(parts), at


def _malformed(text: str) -> NoReturn:
    raise ValueError(f"{text!r} has a variable in a form other than $A, ${{A}}, ${{A:-default}} or ${{A-default}}")
