"""The nine services as containers, run by Compose v2 from the stage's own compose.yaml."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from clew import provision
from clew.core import processes
from clew.core.errors import ClewError
from clew.stacks import composefile
from clew.stacks.drivers.base import Say
from clew.stacks.drivers.ports import check_ports
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES
from clew.stacks.stack import Stack, checkout_mark

STATES = {"running": "running", "paused": "paused", "restarting": "stopped"}
LIST_SECONDS = 5  # it takes 0.1 s; an engine that needs longer than this hangs
SAY_SO_AFTER = 2
PASSWORD_SECONDS = 5  # a read takes 0.2 s; after `down` and `up` there is another password
SILENT_SECONDS = 60  # how long an engine that hung is not asked again by this process
OF_COMPOSE = "com.docker.compose"
BLOCK_LABEL = "clew.block"
LISTED = ("{{.ID}}", "{{.State}}", *(f'{{{{.Label "{OF_COMPOSE}.{name}"}}}}' for name in (
    "service", "project", "project.working_dir")))  # fmt: skip
NO_ENGINE = (
    "Cannot connect to the Docker daemon",
    "permission denied while trying",
    "failed to connect to the docker API",
)


class NoEngine(ClewError):
    """No engine answers here, so none of its containers can be running."""


class DockerTooSlow(ClewError):
    """A docker command did not end within its deadline."""


class SilentEngine(ClewError):
    """An engine takes connections and does not answer: nobody can say which containers run."""


@dataclass(frozen=True)
class Container:
    id: str
    state: str
    service: str
    project: str
    folder: Path


_silent_since: float | None = None
_passwords: dict[tuple[Path, str, str], tuple[str, float]] = {}  # and when they were read


def engine_is_silent() -> bool:
    """Tell whether the engine left this process without an answer a short while ago."""
    return _silent_since is not None and time.monotonic() - _silent_since < SILENT_SECONDS


def _say_slow() -> None:
    if sys.stderr.isatty():
        print(f"Waiting for the Docker engine, up to {LIST_SECONDS} s.", file=sys.stderr, flush=True)


class DockerDriver:
    """Runs a stack as one Compose project.

    Its containers are known by the stage folder that they were started from and by their block of ports, not by the
    project's name: a stack that a bare `docker compose up` started is the same stack.
    """

    name = "docker"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.own_project = f"clew-{checkout_mark()}-{stack.name}"

    def prepare(self, say: Say) -> None:
        state = provision.docker_state()
        if not state.reachable:
            raise NoEngine(state.reasons[0], self.stack.command("up DRIVER=local"))
        provision.ensure_compose(say)
        provision.ensure_stack_image(say)

    def preflight(self) -> None:
        self._check_readable()
        found = self._containers()
        self._check_owner(self._project(found))
        if not found:
            check_ports(self.stack, privileged=True)  # it is the engine that opens them

    def up(self) -> None:
        found = self._containers()
        for service, container in found.items():
            if container.state == "paused":  # Compose cannot start those
                self.unpause(service)
        self._compose(self._project(found), "up", "--detach", "--remove-orphans", "--quiet-pull", seconds=120)
        was_down = [name for name in API_SERVERS if name in found and found[name].state not in ("running", "paused")]
        if was_down and NGINX in found and found[NGINX].state == "running":
            self.reload_nginx()  # a started container may have another address

    def down(self) -> None:
        found = self._containers()
        frozen = [container.id for container in found.values() if container.state == "paused"]
        if frozen:  # they could not end
            self._docker("unpause", *frozen)
        for project in {container.project for container in found.values()} or {self.own_project}:
            self._check_owner(project)
            self._compose(project, "down", "--volumes", "--remove-orphans", "--timeout", "10", seconds=120)

    def discard(self, services: Sequence[str]) -> None:
        found = self._containers()
        if created := [found[service].id for service in services if service in found]:
            self._docker("rm", "--force", "--volumes", *created)

    def status(self) -> dict[str, str]:
        found = self._containers()
        return {name: STATES.get(found[name].state, "stopped") if name in found else "absent" for name in SERVICES}

    def started(self) -> dict[str, float]:
        alive = [container.id for container in self._containers().values() if container.state in ("running", "paused")]
        if not alive:
            return {}
        form = f'{{{{index .Config.Labels "{OF_COMPOSE}.service"}}}} {{{{.State.StartedAt}}}}'
        lines = self._docker("inspect", "--format", form, *alive, seconds=15).splitlines()
        return {name: datetime.fromisoformat(when).timestamp() for name, when in map(str.split, lines)}

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        window = [] if since is None else ["--since", datetime.fromtimestamp(since, UTC).isoformat()]
        found = self._containers()

        def lines(service: str) -> list[str]:
            return self._docker("logs", *window, found[service].id, seconds=30, merged=True).split("\n")

        with ThreadPoolExecutor() as pool:
            return {name: [] for name in SERVICES} | dict(zip(found, pool.map(lines, found), strict=True))

    def execute(self, service: str, *command: str, seconds: float = 60) -> str:
        """Return what a command prints inside of a service's container."""
        return self._docker("exec", self._container(service).id, *command, seconds=seconds)

    def execute_outside(self, *command: str) -> str:
        """Return what a command prints in a container that belongs to no stack; it is removed afterwards."""
        hardened = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "10001:10001")
        return self._docker("run", "--rm", "--network", "bridge", *hardened, provision.IMAGE, *command)

    def addresses(self) -> dict[str, list[str]]:
        """Return the addresses that each service's container has in its networks."""
        found = self._containers()
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        lines = self._docker("inspect", "--format", form, *(one.id for one in found.values())).splitlines()
        return dict(zip(found, map(str.split, lines), strict=True))

    def password(self, role: str, what: str = "redis") -> str:
        service = FLOWER if what == "web" else REDIS
        key = (self.stack.state, role, what)
        if key not in _passwords or time.monotonic() - _passwords[key][1] > PASSWORD_SECONDS:
            password = self.execute(service, "cat", f"/secrets/{role}/{what}-password", seconds=5)
            _passwords[key] = password, time.monotonic()
        return _passwords[key][0]

    def kill(self, service: str) -> None:
        container = self._thawed(service)
        if container.state == "running":
            self._docker("kill", container.id)

    def stop(self, service: str) -> None:
        container = self._thawed(service)
        described = composefile.read(self.stack.folder, self.stack.compose_environment)[service]
        seconds = described.stop_seconds  # said here, since the container may be older than the file
        self._docker("stop", "--time", f"{seconds:.0f}", container.id, seconds=seconds + 30)

    def start(self, service: str) -> None:
        container = self._thawed(service)
        self._docker("start", container.id)
        if service in API_SERVERS and container.state != "running":
            self._refresh_addresses()

    def restart(self, services: Sequence[str]) -> None:
        containers = [self._thawed(service).id for service in services]
        if containers:
            self._docker("restart", "--time", "10", *containers)
        if NGINX not in services and set(services) & set(API_SERVERS):
            self._refresh_addresses()

    def reload_nginx(self) -> None:
        # Not `docker kill --signal HUP`: after that the engine does not restart the container when it crashes.
        self._docker("exec", self._container(NGINX).id, "bash", "-c", "kill -HUP 1")

    def pause(self, service: str) -> None:
        container = self._container(service)
        if container.state != "paused":
            self._docker("pause", container.id)

    def unpause(self, service: str) -> None:
        container = self._container(service)
        if container.state != "running":  # of one that is stopped the engine says so
            self._docker("unpause", container.id)

    def _refresh_addresses(self) -> None:
        """A container that was started can have another address, and nginx looks them up only when it starts."""
        if self.status()[NGINX] == "running":
            self.reload_nginx()

    def _thawed(self, service: str) -> Container:
        """Return a service's container, unpaused: a frozen one can neither end nor start."""
        container = self._container(service)
        if container.state == "paused":
            self._docker("unpause", container.id)
            return replace(container, state="running")
        return container

    def _container(self, service: str) -> Container:
        found = self._containers().get(service)
        if found is None:
            raise ClewError(f"{self.stack.title} has no container for {service}.", self.stack.command("up"))
        return found

    def _containers(self) -> dict[str, Container]:
        """Return this stack's containers, in any state, by service."""
        mine = [
            container
            for container in self._list(f"{BLOCK_LABEL}={self.stack.block // 10}")
            if container.folder.resolve() == self.stack.folder.resolve()
        ]
        return {container.service: container for container in mine}

    def _list(self, label: str) -> list[Container]:
        """Return every container with a label.

        Raises:
            NoEngine: no engine is there.
            SilentEngine: it does not answer.
        """
        global _silent_since
        hangs = SilentEngine(
            f"The Docker engine does not answer within {LIST_SECONDS} s, so what runs in containers is unknown.",
            self.stack.command("status DRIVER=local"),
        )
        if engine_is_silent():
            raise hangs
        slow = threading.Timer(SAY_SO_AFTER, _say_slow)
        slow.start()
        try:
            text = self._docker("ps", "--all", "--no-trunc", "--filter", f"label={label}",
                                "--format", "\t".join(LISTED), seconds=LIST_SECONDS)  # fmt: skip
        except DockerTooSlow:
            _silent_since = time.monotonic()
            raise hangs from None
        except NoEngine:
            raise
        except ClewError as error:  # as with a context that does not exist
            if provision.engine_version():
                raise
            raise NoEngine(error.message, error.next_step) from None
        finally:
            slow.cancel()
        _silent_since = None
        return [
            Container(number, state, service, project, Path(folder))
            for number, state, service, project, folder in (line.split("\t") for line in text.splitlines())
        ]

    def _project(self, found: dict[str, Container]) -> str:
        return next(iter(found.values())).project if found else self.own_project

    def _compose(self, project: str, *arguments: str, seconds: float) -> str:
        compose = ["compose", "--project-directory", str(self.stack.folder), "--project-name", project]
        return self._docker(*compose, *arguments, seconds=seconds)

    def _docker(self, *arguments: str, seconds: float = 60, merged: bool = False) -> str:
        """Run one docker command and return its standard output, with its standard error when `merged`.

        Raises:
            NoEngine: no engine is there, or no docker command.
            DockerTooSlow: it took longer than `seconds`.
            ClewError: it failed.
        """
        ended = processes.run(["docker", *arguments], seconds, separate=not merged, env=self.stack.compose_environment)
        if ended.code == processes.NOT_FOUND:
            raise NoEngine("There is no docker command.", self.stack.command("up DRIVER=local"))
        if ended.code == processes.TIMED_OUT:
            raise DockerTooSlow(f"docker {arguments[0]} took longer than {seconds:.0f} s.", "make doctor")
        if ended.code:
            reason = ended.errors or ended.output
            kind = NoEngine if any(text in reason for text in NO_ENGINE) else ClewError
            raise kind(f"docker {arguments[0]} failed: {reason[-600:]}", self._way_out(reason))
        return ended.output

    def _way_out(self, reason: str) -> str:
        if "port is already allocated" in reason or "address already in use" in reason:
            return f"end the program on that port, or {self.stack.command('up PORT=8180')}"
        if any(text in reason for text in NO_ENGINE):
            return f"start the engine, or {self.stack.command('up DRIVER=local')}"
        if "No such container" in reason:
            return self.stack.command("up")
        return "make doctor"

    def _check_owner(self, project: str) -> None:
        """Compose knows a project by its name alone: it must have no container of another folder.

        Raises:
            ClewError: it has one.
        """
        owners = {container.folder for container in self._list(f"{OF_COMPOSE}.project={project}")}
        others = sorted(folder for folder in owners if folder.resolve() != self.stack.folder.resolve())
        if others:
            raise ClewError(
                f"The Compose project {project} also has containers that were started from {others[0]}.",
                f"cd {others[0]} && docker compose --project-name {project} down",
            )

    def _check_readable(self) -> None:
        """The containers' user is neither root nor the owner of these files."""
        for path in self.stack.folder.rglob("*"):
            if path.exists() and not path.stat().st_mode & 0o004:  # an editor's lock is a link to nowhere
                raise ClewError(
                    f"{path} may not be read by others, so not by the containers' user.",
                    "chmod -R o+rX stages stack",
                )
