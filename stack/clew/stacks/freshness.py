"""Which files each service runs. They are noted when it starts, so that a file that was edited since is noticed before
a trace blames a line that never ran.

A service reads its files once, when it starts. Where the tool started it, their content was noted. Where it did not
(a bare `docker compose up`, a crash), a file counts as edited when it changed after the service had started.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.files import write_whole
from clew.core.paths import STACK, shown
from clew.stacks.drivers import Driver
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES, WORKERS
from clew.stacks.stack import Stack

# What a service reads besides the compose files: folders and files of the stage, and of stack/.
OF_STAGE = dict.fromkeys(API_SERVERS, "fastapi-app") | dict.fromkeys(WORKERS, "celery-worker") | {NGINX: "nginx"}
OF_STACK = dict.fromkeys((*API_SERVERS, *WORKERS, FLOWER), "taskqueue") | {NGINX: "nginx", REDIS: "redis"}
NO_SOURCE = (".pyc", ".swp", "~")


class Outdated(ClewError):
    """Services run older files than those on disk."""


@dataclass(frozen=True)
class Snapshot:
    """The files as they were at one moment: of each the SHA-256, of each layer's file its content."""

    digests: dict[Path, str]
    layers: dict[str, bytes]

    @classmethod
    def of(cls, stack: Stack) -> Snapshot:
        contents = {path: path.read_bytes() for path in _files(stack)}
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
        return cls(digests, {layer.file: (stack.folder / layer.file).read_bytes() for layer in ladder.LAYERS})

    def of_service(self, stack: Stack, service: str) -> dict[str, str]:
        folders = _read_by(stack, service)
        return {
            shown(path): digest
            for path, digest in self.digests.items()
            if any(path.is_relative_to(folder) for folder in folders)
        }


def compose_files(stack: Stack) -> tuple[Path, Path]:
    """Return the files that describe all nine services: no restart of a single one makes it follow them."""
    return stack.folder / "compose.yaml", STACK / "compose.yaml"


def note(stack: Stack, started: dict[str, float], snapshot: Snapshot, services: Iterable[str] = SERVICES) -> None:
    """Note that these services, which were started or reloaded after the snapshot was taken, run its files.

    `started` tells when each began, in seconds since the epoch.
    """
    notes = _notes(stack)
    for service, began in started.items():
        if service in services:
            notes[service] = {"started": began, "files": snapshot.of_service(stack, service)}
    for name, content in snapshot.layers.items():
        hop_services = {service for service, folder in OF_STAGE.items() if name.startswith(f"{folder}/")}
        path = stack.state / "ran" / name
        if hop_services & set(services) and not (path.exists() and path.read_bytes() == content):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    write_whole(stack.state / "ran.json", json.dumps(notes))


def forget(stack: Stack) -> None:
    """Remove the notes of a stack that is down."""
    (stack.state / "ran.json").unlink(missing_ok=True)
    shutil.rmtree(stack.state / "ran", ignore_errors=True)


def changed_since_start(stack: Stack, driver: Driver, snapshot: Snapshot | None = None) -> dict[str, list[str]]:
    """Return, for each service that runs other files than those of the snapshot (without one: those on disk), the paths
    of the files that differ."""
    return _changed(stack, driver.started(), snapshot or Snapshot.of(stack))


def require_current(stack: Stack, driver: Driver) -> None:
    """Make sure that every service runs the files on disk.

    Raises:
        Outdated: some run older ones; the message names services and files.
    """
    started, snapshot = driver.started(), Snapshot.of(stack)
    if changed := _changed(stack, started, snapshot):
        edited = "; ".join(f"{paths} changed after {services} started" for services, paths in grouped(changed))
        raise Outdated(f"{stack.title} does not run the files on disk: {edited}.", stack.command("up"))
    notes = _notes(stack)
    if any(notes.get(service, {}).get("started") != began for service, began in started.items()):
        note(stack, started, snapshot)  # from now on content counts, not the time of a change


def grouped(changed: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return the changed services and their files as text, one pair for all services that have the same files."""
    groups: dict[str, list[str]] = {}
    for service, paths in changed.items():
        groups.setdefault(", ".join(paths), []).append(service)
    return [(", ".join(services), paths) for paths, services in groups.items()]


def ran_folder(stack: Stack) -> Path:
    """Return a folder with the layer files that the services run: the stack's own one unless a file was edited since
    its service started."""
    ran = stack.state / "ran"
    for layer in ladder.LAYERS:
        path = ran / layer.file
        if not path.exists():
            return stack.folder
        if path.read_bytes() != (stack.folder / layer.file).read_bytes():
            return ran
    return stack.folder


def _changed(stack: Stack, started: dict[str, float], snapshot: Snapshot) -> dict[str, list[str]]:
    notes = _notes(stack)
    found = {}
    for service in (name for name in SERVICES if name in started):
        began = started[service]
        now = snapshot.of_service(stack, service)
        noted = notes.get(service, {})
        if noted.get("started") == began:
            ran = noted["files"]
            paths = [path for path in sorted({*now, *ran}) if now.get(path) != ran.get(path)]
        else:
            changed_at = {shown(path): path.stat().st_ctime for path in snapshot.digests}
            paths = [path for path in sorted(now) if changed_at[path] > began]
        if paths:
            found[service] = paths
    return found


def _notes(stack: Stack) -> dict[str, Any]:
    try:
        return dict(json.loads((stack.state / "ran.json").read_text()))
    except FileNotFoundError:
        return {}


def _read_by(stack: Stack, service: str) -> list[Path]:
    of_stage = [stack.folder / OF_STAGE[service]] if service in OF_STAGE else []
    return [*of_stage, STACK / OF_STACK[service], *compose_files(stack)]


def _files(stack: Stack) -> Iterator[Path]:
    for root in sorted({path for service in SERVICES for path in _read_by(stack, service)}):
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.is_file() and not path.name.endswith(NO_SOURCE) and not path.name.startswith("."):
                yield path
