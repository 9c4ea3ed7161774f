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
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, WORKERS

DEFAULT_PREFIX = "80"
ENVIRONMENTS = ("development", "staging", "production")
PREFIX = re.compile(r"[1-9][0-9]{1,2}")
# The block of ten host ports of each kind of stack, counted from the first. Stage N has block N. Block 10 is left out:
# port 8100 serves the documentation.
BLOCKS = {
    "stage": 0,
    "try": 6,
    "mystery": 7,
    "strict": 8,
    "mix": 9,
    "drill": 11,
    "bench": 12,
    "leaks": 13,
    "ways": 14,
    "swarm": 15,
}
# What is typed for a stack that is not a stage's.
OF_KIND = {
    "try": "make try",
    "mystery": "make mystery",
    "drill": "make drill",
    "leaks": "make leaks",
    "ways": "make ways",
    "swarm": "make swarm-status",
}
WITH_VERBS = ("try", "mystery")  # the kinds that take a stage's verbs: make try logs
# Where in its block a service listens. For what only shows figures see METRICS_OFFSETS.
OFFSETS = {NGINX: 0, **{server: n for n, server in enumerate(API_SERVERS, 1)}, FLOWER: 5, REDIS: 6}


def port_prefix() -> str:
    """Return the first digits of all ports: 80, or CLEW_PORTS from the environment.

    Raises:
        ClewError: CLEW_PORTS is not a number from 10 to 653.
    """
    prefix = os.environ.get("CLEW_PORTS") or DEFAULT_PREFIX
    if not PREFIX.fullmatch(prefix) or int(prefix) > 653:
        raise ClewError(
            f"CLEW_PORTS is {prefix!r}; it must be a number from 10 to 653: the first digits of all ports.",
            "unset CLEW_PORTS",
        )
    return prefix


def checkout_mark() -> str:
    """Return six hexadecimal digits that tell this checkout from others on the same machine."""
    return hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]


def named(name: str, prefix: str | None = None) -> str:
    """Return a stack's name; on ports other than the default ones it is another stack."""
    prefix = prefix or port_prefix()
    return name if prefix == DEFAULT_PREFIX else f"{name}-{prefix}"


def ports_of(kind: str, number: int = 0, front_door: int | None = None, prefix: str | None = None) -> dict[str, int]:
    """Return the host port of each service that listens, nginx's being `front_door` if given."""
    first = int(prefix or port_prefix()) * 100 + 10 * (BLOCKS[kind] + number)
    ports = {service: first + offset for service, offset in OFFSETS.items()}
    return ports if front_door is None else {**ports, NGINX: front_door}


# Figures for Prometheus, which only the local driver opens on the host.
METRICS_OFFSETS = {NGINX: 4, **{worker: n for n, worker in enumerate(WORKERS, 7)}}


def log_environment() -> str:
    """Return how much the services log: CLEW_ENVIRONMENT, or staging.

    Raises:
        ClewError: it is something else than development, staging or production.
    """
    environment = os.environ.get("CLEW_ENVIRONMENT") or "staging"
    if environment not in ENVIRONMENTS:
        raise ClewError(
            f"CLEW_ENVIRONMENT is {environment!r}; it must be {', '.join(ENVIRONMENTS)}.", "unset CLEW_ENVIRONMENT"
        )
    return environment


@dataclass(frozen=True)
class Stack:
    """One place where the nine services run.

    `kind` is a key of BLOCKS, `name` is unique within the checkout and names the state folder, `folder` holds the
    stage's files, `ports` the host port of each service that listens; `number` is the stage's, for the kind "stage".
    `settings` is "durable", or "stock" for what Celery, Redis and nginx do by default.
    """

    kind: str
    name: str
    folder: Path
    ports: Mapping[str, int]
    number: int | None = None
    settings: str = "durable"

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
    def metrics_ports(self) -> dict[str, int]:
        """Where the local driver opens the figures of nginx and of each worker."""
        return {service: self.block + offset for service, offset in METRICS_OFFSETS.items()}

    @property
    def compose_environment(self) -> dict[str, str]:
        """What stack/compose.yaml needs to know: the ports, the services' settings, and how much they log."""
        return {
            "PORT": str(self.port),
            "CLEW_PORTS": str(self.block // 100),
            "STAGE": str(self.block // 10 % 10),
            "CLEW_SETTINGS": self.settings,
            "CLEW_ENVIRONMENT": log_environment(),
        }

    @property
    def title(self) -> str:
        title = f"Stage {self.number}" if self.number is not None else f"The {self.name.partition('-')[0]} stack"
        return title if self.prefix == port_prefix() else f"{title} (CLEW_PORTS={self.prefix})"

    @property
    def called(self) -> str:
        """The title as it stands inside a sentence."""
        return self.title.replace("The ", "the ", 1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def shown_folder(self) -> str:
        return shown(self.folder)

    @property
    def prefix(self) -> str:
        """The first digits of its ports: CLEW_PORTS, or 80."""
        return str((self.block - 10 * (BLOCKS[self.kind] + (self.number or 0))) // 100)

    def command(self, verb: str) -> str:
        """Return what to type for a verb on this stack."""
        if self.kind in OF_KIND:
            further = f" {verb}" if self.kind in WITH_VERBS and verb not in ("up", "") else ""
            typed = "make down" if verb == "down" else OF_KIND[self.kind] + further
        else:
            typed = f"make stage-{self.number} {verb}" if self.number is not None else "make lattice"
        return on_these_ports(typed, self.prefix)


def on_these_ports(command: str, prefix: str | None = None) -> str:
    """Return a command with CLEW_PORTS, if the ports are not the default ones and the command does not set it."""
    prefix = prefix or port_prefix()
    if prefix == DEFAULT_PREFIX or "CLEW_PORTS=" in command:
        return command
    return f"{command} CLEW_PORTS={prefix}"


def stage_stack(number: int | str, port: int | str | None = None, prefix: str | None = None) -> Stack:
    """Return the stack of a stage. Its front door is at `port`, else where `up` put it, else at 80N0.

    Raises:
        ClewError: there is no such stage, or `port` is not a port number.
    """
    this = ladder.stage(number)
    name = named(f"stage-{this.number}", prefix)
    if not port:
        noted = STATE / name / "port"
        port = noted.read_text() if noted.exists() else ports_of("stage", this.number, prefix=prefix)[NGINX]
    if not re.fullmatch(r"[0-9]{1,5}", str(port)) or not 0 < int(port) < 65536:
        raise ClewError(f"PORT is {port!r}, which is not a port number.", f"make stage-{number} up PORT=8080")
    ports = ports_of("stage", this.number, int(port), prefix)
    return Stack("stage", name, this.folder, ports, this.number)


def stack_named(name: str) -> Stack:
    """Return the stack that is typed as a stage's number, or as `try` or `mystery`.

    Raises:
        ClewError: there is no such stack.
    """
    return {"try": try_stack, "mystery": mystery_stack}[name]() if name in WITH_VERBS else stage_stack(name)


def lattice_stack(prefix: str | None = None) -> Stack:
    """Return the stack on which the mixes run; whoever uses it writes its folder."""
    # Two folders deep, like a stage, so that its compose.yaml finds `../../stack`.
    return Stack("mix", named("lattice", prefix), ROOT / ".clew" / named("mix", prefix), ports_of("mix", prefix=prefix))


def strict_stack(prefix: str | None = None) -> Stack:
    """Return the stack of the experiment with strict layers, which writes its folder itself."""
    name = named("strict", prefix)
    return Stack("strict", name, ROOT / ".clew" / name, ports_of("strict", prefix=prefix))


def drill_stack(settings: str = "durable", prefix: str | None = None) -> Stack:
    """Return the stack of the drills, which runs stage 5 with durable or stock settings."""
    folder = ladder.stage(5).folder
    return Stack("drill", named("drill", prefix), folder, ports_of("drill", prefix=prefix), settings=settings)


def try_stack(prefix: str | None = None) -> Stack:
    """Return the stack on which a learner fixes a layer; whoever brings it up writes its folder."""
    folder = ROOT / "try" / named("stage", prefix)
    return Stack("try", named("try", prefix), folder, ports_of("try", prefix=prefix))


def mystery_stack(prefix: str | None = None) -> Stack:
    """Return the stack with hidden faults; whoever brings it up writes its folder."""
    name = named("mystery", prefix)
    return Stack("mystery", name, ROOT / "try" / name, ports_of("mystery", prefix=prefix))


def leaks_stack(prefix: str | None = None) -> Stack:
    """Return the stack of the leak lab, which writes its folder itself."""
    name = named("leaks", prefix)
    return Stack("leaks", name, ROOT / ".clew" / f"{name}-stage", ports_of("leaks", prefix=prefix))


def ways_stack(prefix: str | None = None) -> Stack:
    """Return the stack that carries the ID in another way; whoever brings it up writes its folder."""
    name = named("ways", prefix)
    return Stack("ways", name, ROOT / ".clew" / f"{name}-stage", ports_of("ways", prefix=prefix))


def all_stacks(prefix: str | None = None) -> list[Stack]:
    """Return every stack that may be up on these ports."""
    stages = [stage_stack(stage.number, prefix=prefix) for stage in ladder.STAGE_LIST]
    others = [lattice_stack(prefix), strict_stack(prefix), try_stack(prefix), mystery_stack(prefix)]
    return [*stages, *others, drill_stack(prefix=prefix), leaks_stack(prefix), ways_stack(prefix)]


def stacks_elsewhere() -> list[Stack]:
    """Return this checkout's stacks that `up` left on other ports than those of this command."""
    notes = [path.parent.name for path in STATE.glob("*/port")]
    prefixes = {DEFAULT_PREFIX, *(name.rpartition("-")[2] for name in notes)} - {port_prefix()}
    known = [stack for prefix in prefixes if PREFIX.fullmatch(prefix) for stack in all_stacks(prefix)]
    return sorted((stack for stack in known if stack.name in notes), key=lambda stack: stack.name)
