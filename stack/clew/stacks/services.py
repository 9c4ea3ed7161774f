"""The nine services and where they listen."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import ROOT, STATE, shown

NGINX = "nginx-loadbalancer"
API_SERVERS = ("fastapi-server-1", "fastapi-server-2", "fastapi-server-3")
REDIS = "redis-broker"
WORKERS = ("celery-worker-1", "celery-worker-2", "celery-worker-3")
FLOWER = "flower"
DEFAULT_PORTS = "80"
SERVICES = (NGINX, *API_SERVERS, REDIS, *WORKERS, FLOWER)

SERVICES_OF_LAYER = {
    "nginx": (NGINX,),
    "routes": API_SERVERS,
    "task-service": API_SERVERS,
    "queue-service": API_SERVERS,
    "worker": WORKERS,
}
LATTICE_DIGIT = 9


def port_prefix() -> str:
    """Return what stands before N0 to N9 in the ports of stage N: 80, or CLEW_PORTS of the environment.

    Raises:
        ClewError: CLEW_PORTS is not two or three digits that make a port.
    """
    prefix = os.environ.get("CLEW_PORTS") or DEFAULT_PORTS
    if not re.fullmatch(r"[1-9][0-9]{1,2}", prefix) or int(prefix) > 654:
        raise ClewError(
            f"CLEW_PORTS is {prefix!r}; it may be 10 to 654, and stands before N0 to N9.", "unset CLEW_PORTS"
        )
    return prefix


def named(name: str) -> str:
    """Return a stack's name; on other ports than the usual ones it is another stack."""
    prefix = port_prefix()
    return name if prefix == DEFAULT_PORTS else f"{name}-{prefix}"


def first_port(digit: int) -> int:
    """Return the first port of a block: 80N0, or with CLEW_PORTS=180 in the environment 180N0."""
    return int(port_prefix()) * 100 + 10 * digit


def checked_service(name: str) -> str:
    """Return the one of the nine that has this name, or whose name alone begins so.

    Raises:
        ClewError: there is none.
    """
    found = [name] if name in SERVICES else [service for service in SERVICES if service.startswith(name)]
    if len(found) == 1:
        return found[0]
    raise ClewError(f"There is no service {name!r}; the nine are {', '.join(SERVICES)}.", "make stage-3 status")


@dataclass(frozen=True)
class Stack:
    """One running place of the nine services: a stage's, the lattice's, or that of the experiment with strict layers.

    `digit` names the block of host ports, 80`digit`0 to 80`digit`9; `port` is the front door's.
    """

    name: str
    folder: Path
    digit: int
    port: int

    @property
    def number(self) -> int | None:
        """The stage's number; None for a stack that is no stage's."""
        return self.digit if self.digit != LATTICE_DIGIT else None

    @property
    def state(self) -> Path:
        return STATE / self.name

    @property
    def mix(self) -> str:
        """The mix that the folder's files are, `?` for a layer that is neither of the two written versions."""
        marks = []
        for layer in ladder.LAYERS:
            content = (self.folder / layer.file).read_bytes()
            versions = {ladder.source(layer, fixed).read_bytes(): mark for mark, fixed in (("0", False), ("1", True))}
            marks.append(versions.get(content, "?"))
        return "".join(marks)

    def port_of(self, service: str) -> int | None:
        """Return the host port of a service; None for a worker, which listens nowhere."""
        block = first_port(self.digit)
        ports = {NGINX: self.port, **{name: block + n for n, name in enumerate(API_SERVERS, 1)}}
        return {**ports, FLOWER: block + 5, REDIS: block + 6}.get(service)

    @property
    def title(self) -> str:
        return f"Stage {self.number}" if self.number is not None else f"The {self.name.partition('-')[0]} stack"

    @property
    def ports(self) -> dict[str, int]:
        return {name: port for name in SERVICES if (port := self.port_of(name)) is not None}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def shown_folder(self) -> str:
        return shown(self.folder)

    def command(self, verb: str) -> str:
        """Return what to type for a verb on this stack."""
        typed = f"make stage-{self.number} {verb}" if self.number is not None else "make lattice"
        return (
            typed if port_prefix() == DEFAULT_PORTS or "CLEW_PORTS=" in verb else f"{typed} CLEW_PORTS={port_prefix()}"
        )


def stage_stack(number: int | str, port: int | None = None) -> Stack:
    """Return the stack of a stage. Its front door is at `port`, else PORT of the environment, else where `up` put it,
    else 80N0.

    Raises:
        ClewError: no such stage, or PORT is no port.
    """
    this = ladder.stage(number)
    if port is None:
        noted = STATE / named(f"stage-{this.number}") / "port"
        wanted = os.environ.get("PORT") or (noted.read_text() if noted.exists() else str(first_port(this.number)))
        if not re.fullmatch(r"[0-9]{1,5}", wanted) or not 0 < int(wanted) < 65536:
            raise ClewError(f"PORT is {wanted!r}, which is no port number.", f"make stage-{number} up PORT=8080")
        port = int(wanted)
    return Stack(named(f"stage-{this.number}"), this.folder, this.number, port)


def lattice_stack() -> Stack:
    """Return the stack on which the mixes run; its folder is written by whoever uses it."""
    # Two folders deep, as a stage is, so that its compose.yaml finds `../../stack`.
    return Stack(named("lattice"), ROOT / ".clew" / named("mix"), LATTICE_DIGIT, first_port(LATTICE_DIGIT))


def strict_stack() -> Stack:
    """Return the stack of the experiment with strict layers, on the lattice's ports; it writes its folder itself."""
    return Stack(named("strict"), ROOT / ".clew" / named("strict"), LATTICE_DIGIT, first_port(LATTICE_DIGIT))


def all_stacks() -> list[Stack]:
    """Return every stack that may be up."""
    return [*(stage_stack(stage.number) for stage in ladder.STAGE_LIST), lattice_stack(), strict_stack()]
