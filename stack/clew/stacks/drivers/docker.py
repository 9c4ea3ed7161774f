"""The nine services as containers, run by Compose v2 from the stage's own compose.yaml."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from clew import provision
from clew.core.errors import ClewError
from clew.stacks.drivers.base import Say
from clew.stacks.drivers.ports import check_ports
from clew.stacks.services import API_SERVERS, NGINX, SERVICES
from clew.stacks.stack import Stack

STATES = {"running": "running", "paused": "paused", "restarting": "stopped"}


NO_ENGINE = (
    "Cannot connect to the Docker daemon",
    "permission denied while trying",
    "failed to connect to the docker API",
)


class NoEngine(ClewError):
    """No engine answers here, so none of its containers can be running."""


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a docker command and the plugins that it started, and wait until they are gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=15)
            return


class DockerDriver:
    """Runs a stack as one Compose project named `clew-<stack>`."""

    name = "docker"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.project = f"clew-{stack.name}"  # the name that compose.yaml has by itself

    def prepare(self, say: Say) -> None:
        state = provision.docker_state()
        if not state.reachable:
            raise NoEngine(state.reasons[0], self.stack.command("up DRIVER=local"))
        provision.ensure_compose(say)
        provision.ensure_stack_image(say)

    def up(self) -> None:
        self._check_readable()
        self._check_owner()
        states = self.status()
        if set(states.values()) == {"absent"}:
            check_ports(self.stack, privileged=True)  # it is the engine that opens them
        for service, state in states.items():
            if state == "paused":  # Compose cannot start those
                self.unpause(service)
        self._compose("up", "--detach", "--remove-orphans", "--quiet-pull", seconds=120)

    def down(self) -> None:
        self._compose("down", "--volumes", "--remove-orphans", "--timeout", "10", seconds=120)

    def status(self) -> dict[str, str]:
        try:
            found = self._docker(
                "ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}",
                "--filter", f"label=com.docker.compose.project.working_dir={self.stack.folder}",
                "--format", '{{.Label "com.docker.compose.service"}} {{.State}}', seconds=10,
            )  # fmt: skip
        except ClewError as error:
            if provision.engine_version():
                raise
            raise NoEngine(error.message, error.next_step) from None
        states = dict(line.split() for line in found.splitlines())
        return {name: STATES.get(states[name], "stopped") if name in states else "absent" for name in SERVICES}

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        window = [] if since is None else ["--since", datetime.fromtimestamp(since, UTC).isoformat()]
        present = [name for name, state in self.status().items() if state != "absent"]

        def lines(service: str) -> list[str]:
            return self._docker("logs", *window, self._container(service), merged=True).split("\n")

        with ThreadPoolExecutor() as pool:
            return {name: [] for name in SERVICES} | dict(zip(present, pool.map(lines, present), strict=True))

    def kill(self, service: str) -> None:
        self._docker("kill", self._container(service))

    def stop(self, service: str) -> None:
        self._docker("stop", "--time", "10", self._container(service))

    def start(self, service: str) -> None:
        self._docker("start", self._container(service))
        if service in API_SERVERS:
            self.reload_nginx()  # a started container may have another address

    def restart(self, services: Sequence[str]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda service: self._docker("restart", "--time", "10", self._container(service)), services))
        if NGINX not in services:
            self.reload_nginx()  # a restarted container may have another address

    def reload_nginx(self) -> None:
        self._docker("kill", "--signal", "HUP", self._container(NGINX))

    def pause(self, service: str) -> None:
        self._docker("pause", self._container(service))

    def unpause(self, service: str) -> None:
        self._docker("unpause", self._container(service))

    def _container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def _compose(self, *arguments: str, seconds: float) -> str:
        compose = ["compose", "--project-directory", str(self.stack.folder), "--project-name", self.project]
        return self._docker(*compose, *arguments, seconds=seconds)

    def _docker(self, *arguments: str, seconds: float = 60, merged: bool = False) -> str:
        """Run one docker command and return its standard output, with its standard error when `merged`."""
        try:
            process = subprocess.Popen(
                ["docker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in this terminal is for this command, not for docker
                env={**os.environ, **self.stack.compose_environment},
            )
        except FileNotFoundError:
            raise NoEngine("There is no docker command.", self.stack.command("up DRIVER=local")) from None
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end_group(process)
            raise ClewError(f"docker {arguments[0]} took longer than {seconds:.0f} s.", "make doctor") from None
        except BaseException:
            _end_group(process)
            raise
        if process.returncode:
            reason = (errors or output).decode(errors="replace").strip()
            kind = NoEngine if any(text in reason for text in NO_ENGINE) else ClewError
            raise kind(f"docker {arguments[0]} failed: {reason[-600:]}", self._way_out(reason))
        return output.decode(errors="replace")

    def _way_out(self, reason: str) -> str:
        if "port is already allocated" in reason or "address already in use" in reason:
            return f"end the program on that port, or {self.stack.command('up PORT=8180')}"
        if any(text in reason for text in NO_ENGINE):
            return f"start the engine, or {self.stack.command('up DRIVER=local')}"
        if "No such container" in reason:
            return self.stack.command("up")
        return "make doctor"

    def _check_owner(self) -> None:
        """Another checkout's stack of the same name must not be taken over."""
        folder = str(self.stack.folder)
        owners = self._docker(
            "ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}",
            "--format", '{{.Label "com.docker.compose.project.working_dir"}}',
        ).split("\n")  # fmt: skip
        others = sorted({owner for owner in owners if owner and owner != folder})
        if others:
            raise ClewError(
                f"{self.project} is already run from {others[0]}.", f"docker compose -p {self.project} down -v"
            )

    def _check_readable(self) -> None:
        """The containers' user is neither root nor the owner of these files."""
        for path in self.stack.folder.rglob("*"):
            if not path.stat().st_mode & 0o004:
                raise ClewError(
                    f"{path} may not be read by others, so not by the containers' user.",
                    "chmod -R o+rX stages stack",
                )
