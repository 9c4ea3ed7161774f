"""What a stack is: one place where the nine services run, with a name, a folder of stage files, and host ports."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import ROOT, STATE, shown
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS

DEFAULT_PREFIX = "80"
# The block of ten host ports of each kind of stack, counted from the first. Stage N has block N. Block 10 is left out:
# port 8100 serves the documentation.
BLOCKS = {"stage": 0, "try": 6, "mystery": 7, "strict": 8, "mix": 9, "drill": 11, "bench": 12}
# Where in its block a service listens; the workers listen nowhere.
OFFSETS = {NGINX: 0, **{server: n for n, server in enumerate(API_SERVERS, 1)}, FLOWER: 5, REDIS: 6}


def port_prefix() -> str:
    """Return the first digits of all ports: 80, or CLEW_PORTS from the environment.

    Raises:
        ClewError: CLEW_PORTS is not a number from 10 to 654.
    """
    prefix = os.environ.get("CLEW_PORTS") or DEFAULT_PREFIX
    if not re.fullmatch(r"[1-9][0-9]{1,2}", prefix) or int(prefix) > 653:
        raise ClewError(
            f"CLEW_PORTS is {prefix!r}; it must be a number from 10 to 653: the first digits of all ports.",
            "unset CLEW_PORTS",
        )
    return prefix


def checkout_mark() -> str:
    """Return six hexadecimal digits that tell this checkout from others on the same machine."""
    return hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]


def named(name: str) -> str:
    """Return a stack's name; on ports other than the default ones it is another stack."""
    prefix = port_prefix()
    return name if prefix == DEFAULT_PREFIX else f"{name}-{prefix}"


def ports_of(kind: str, number: int = 0, front_door: int | None = None) -> dict[str, int]:
    """Return the host port of each service that listens, nginx's being `front_door` if given."""
    first = int(port_prefix()) * 100 + 10 * (BLOCKS[kind] + number)
    ports = {service: first + offset for service, offset in OFFSETS.items()}
    return ports if front_door is None else {**ports, NGINX: front_door}


@dataclass(frozen=True)
class Stack:
    """One place where the nine services run.

    `kind` is a key of BLOCKS, `name` is unique within the checkout and names the state folder, `folder` holds the
    stage's files, `ports` the host port of each service that listens; `number` is the stage's, for the kind "stage".
    """

    kind: str
    name: str
    folder: Path
    ports: Mapping[str, int]
    number: int | None = None

    @property
    def state(self) -> Path:
        return STATE / self.name

    @property
    def mix(self) -> str:
        """The mix that the folder's files are, `?` for a layer that was edited: neither of the two written versions."""
        return ladder.mix_of(self.folder)

    @property
    def port(self) -> int:
        """The front door's host port."""
        return self.ports[NGINX]

    @property
    def block(self) -> int:
        """The first port of the stack's block of ten: 8030 for stage 3."""
        return self.ports[REDIS] - OFFSETS[REDIS]

    @property
    def compose_environment(self) -> dict[str, str]:
        """What stack/compose.yaml needs to know: the front door's port, and the digits that begin the other ports."""
        return {"PORT": str(self.port), "CLEW_PORTS": str(self.block // 100), "STAGE": str(self.block // 10 % 10)}

    @property
    def title(self) -> str:
        return f"Stage {self.number}" if self.number is not None else f"The {self.name.partition('-')[0]} stack"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def shown_folder(self) -> str:
        return shown(self.folder)

    def command(self, verb: str) -> str:
        """Return what to type for a verb on this stack."""
        typed = f"make stage-{self.number} {verb}" if self.number is not None else "make lattice"
        return on_these_ports(typed)


def on_these_ports(command: str) -> str:
    """Return a command with CLEW_PORTS, if it is set and the command does not set it."""
    if port_prefix() == DEFAULT_PREFIX or "CLEW_PORTS=" in command:
        return command
    return f"{command} CLEW_PORTS={port_prefix()}"


def stage_stack(number: int | str, port: int | None = None) -> Stack:
    """Return the stack of a stage. Its front door is at `port`, else PORT from the environment, else where `up` put it,
    else 80N0.

    Raises:
        ClewError: there is no such stage, or PORT is not a port number.
    """
    this = ladder.stage(number)
    if port is None:
        noted = STATE / named(f"stage-{this.number}") / "port"
        default = str(ports_of("stage", this.number)[NGINX])
        wanted = os.environ.get("PORT") or (noted.read_text() if noted.exists() else default)
        if not re.fullmatch(r"[0-9]{1,5}", wanted) or not 0 < int(wanted) < 65536:
            raise ClewError(f"PORT is {wanted!r}, which is not a port number.", f"make stage-{number} up PORT=8080")
        port = int(wanted)
    ports = ports_of("stage", this.number, port)
    return Stack("stage", named(f"stage-{this.number}"), this.folder, ports, this.number)


def lattice_stack() -> Stack:
    """Return the stack on which the mixes run; whoever uses it writes its folder."""
    # Two folders deep, like a stage, so that its compose.yaml finds `../../stack`.
    return Stack("mix", named("lattice"), ROOT / ".clew" / named("mix"), ports_of("mix"))


def strict_stack() -> Stack:
    """Return the stack of the experiment with strict layers, which writes its folder itself."""
    return Stack("strict", named("strict"), ROOT / ".clew" / named("strict"), ports_of("strict"))


def all_stacks() -> list[Stack]:
    """Return every stack that may be up."""
    return [*(stage_stack(stage.number) for stage in ladder.STAGE_LIST), lattice_stack(), strict_stack()]
