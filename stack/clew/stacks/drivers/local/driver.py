"""The driver contract, on processes of this machine."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
from supervisor.xmlrpc import Faults

from clew import provision
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.core.wait import wait_until
from clew.stacks.drivers.base import Say
from clew.stacks.drivers.local import logfiles, processes
from clew.stacks.drivers.local.programs import Program, programs, write_folders, write_nginx_files
from clew.stacks.drivers.local.supervisord import Supervisor, owner_of
from clew.stacks.drivers.ports import check_ports
from clew.stacks.services import NGINX, REDIS, SERVICES
from clew.stacks.stack import Stack

NEEDED_BYTES = 100 * 1024 * 1024
QUICK_SECONDS = 10  # for what ends a whole stack, or makes it read its files again: no task is waited for
STOPPABLE = ("RUNNING", "STARTING", "BACKOFF")
STOPPED = ("STOPPED", "FATAL")


class LocalDriver:
    """Runs a stack under one supervisord of its own; its files are in `.clew/<stack>/local/`."""

    name = "local"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.home = stack.state / "local"
        self.supervisor = Supervisor(stack, self.home)

    def prepare(self, say: Say) -> None:
        provision.ensure_nginx(say)
        provision.ensure_redis(say)

    def programs(self) -> dict[str, Program]:
        """Return what this driver runs, service by service."""
        return programs(self.stack, self.home)

    def preflight(self) -> None:
        if not self.supervisor.answers():
            self._check_disk()
            if not self._leftovers():  # `up` ends those first
                check_ports(self.stack, privileged=os.getuid() == 0, metrics=True)

    def up(self) -> None:
        if self.supervisor.answers():
            for service, info in self._infos().items():
                if info["state"] == "STOPPING" or _state(info) != "running":
                    self.start(service)
            return
        processes.end(self._leftovers())
        self.supervisor.remove_socket()
        check_ports(self.stack, privileged=os.getuid() == 0, metrics=True)
        self._write_files()
        self.supervisor.start(self.programs())

    def down(self) -> None:
        if self.supervisor.answers():
            with contextlib.suppress(ClewError):  # what is left then is ended below
                self._end(
                    list(self._infos()), QUICK_SECONDS
                )  # all at once; a shutdown alone would end them one after the other
                pid = self.supervisor.call("supervisor.getPID")
                self.supervisor.call("supervisor.shutdown")
                wait_until(lambda: self._has_ended(pid), 10, "supervisord to end", "", every=0.05)
        processes.end(self.processes())
        self.supervisor.remove_socket()
        shutil.rmtree(self.home, ignore_errors=True)

    def discard(self, services: Sequence[str]) -> None:
        if services:
            self._end(services, QUICK_SECONDS)

    def status(self) -> dict[str, str]:
        if self.supervisor.answers():
            infos = self._infos()
            return {name: _state(infos[name]) if name in infos else "absent" for name in SERVICES}
        own = self.processes() if self.supervisor.note.exists() else []
        if not any(processes.is_supervisor(process) for process in own):
            return dict.fromkeys(SERVICES, "absent")  # what still runs is left over from a crash
        frozen = {processes.service_of(process): processes.is_frozen(process.pid) for process in own}
        words = {None: "stopped", True: "paused", False: "running"}
        return {name: words[frozen.get(name)] for name in SERVICES}

    def started(self) -> dict[str, float]:
        if not self.supervisor.answers():
            self._leftovers()  # a supervisord that lives knows, and does not answer: that is an error
            return {}
        return {name: float(info["started"]) for name, info in self._infos().items() if info["pid"]}

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        return {service: logfiles.lines(self.home / "logs" / f"{service}.log", since) for service in SERVICES}

    def password(self, role: str, what: str = "redis") -> str:
        try:
            return (self.home / "volumes" / f"secrets-{role}" / f"{what}-password").read_text()
        except OSError as error:
            reason = f"There is no {what} password of {role} yet ({error.strerror})."
            raise ClewError(reason, self.stack.command(f"logs SERVICE={REDIS}")) from None

    def kill(self, service: str) -> None:
        pid = self._info(service)["pid"]
        if pid:
            # Frozen, it cannot act on the SIGTERM by which supervisord learns that it is meant to stay down.
            processes.signal_group(pid, signal.SIGSTOP)
            self._ask_to_stop(service)
            processes.signal_group(pid, signal.SIGKILL)
        self._end([service])

    def stop(self, service: str) -> None:
        self._end([service])

    def start(self, service: str) -> None:
        info = self._info(service)
        if info["state"] == "STOPPING":
            self._end([service])
        if _state(info) == "paused":
            processes.thaw(info["pid"])
            return
        if info["state"] == "BACKOFF":  # it waits before it tries again
            self._end([service])
        self._begin(service)

    def restart(self, services: Sequence[str]) -> None:
        self._end(services, QUICK_SECONDS)
        for service in services:
            self._begin(service)

    def reload_nginx(self) -> None:
        self._pid(NGINX)
        write_nginx_files(self.stack, self.home)
        self.supervisor.call("supervisor.signalProcess", NGINX, "HUP")

    def pause(self, service: str) -> None:
        processes.freeze(self._pid(service), service, self.stack.command("status"))

    def unpause(self, service: str) -> None:
        processes.thaw(self._pid(service))

    def processes(self) -> list[psutil.Process]:
        """Return every living process of this stack, also those whose supervisord was killed."""
        return processes.of_stack(self.home)

    def _begin(self, service: str) -> None:
        if service == NGINX:
            write_nginx_files(self.stack, self.home)
        self.supervisor.call("supervisor.startProcess", service, False, but=Faults.ALREADY_STARTED)

    def _end(self, services: Sequence[str], at_most: float | None = None) -> None:
        """End services gracefully, all at the same time, and wait until they have ended.

        After `at_most` seconds, if given, those that have not are killed, else each after its stop_grace_period.
        """
        seconds = at_most or max(self._info(service)["stop_seconds"] for service in services)
        began = time.monotonic()

        def ended() -> bool:
            infos = self._infos()
            for service in services:
                if at_most and time.monotonic() - began > at_most and (pid := infos[service]["pid"]):
                    processes.signal_group(pid, signal.SIGKILL)
                if infos[service]["state"] in STOPPABLE:
                    self._ask_to_stop(service)
                    if pid := infos[service]["pid"]:
                        processes.thaw(pid)  # a frozen process cannot act on a signal
            return all(infos[service]["state"] in STOPPED for service in services)

        wait_until(ended, seconds + 10, f"{', '.join(services)} to stop", self.stack.command("down"), every=0.02)

    def _ask_to_stop(self, service: str) -> None:
        self.supervisor.call("supervisor.stopProcess", service, False, but=Faults.NOT_RUNNING)

    def _infos(self) -> dict[str, dict[str, Any]]:
        return dict(self.supervisor.call("clew.states"))

    def _info(self, service: str) -> dict[str, Any]:
        """Return what supervisord knows of a service.

        Raises:
            ClewError: there is no such service.
        """
        infos = self._infos()
        if service not in infos:
            raise ClewError(
                f"There is no service {service!r}; the nine are {', '.join(SERVICES)}.", self.stack.command("status")
            )
        return infos[service]

    def _pid(self, service: str) -> int:
        """Return the main process of a service that runs or is paused.

        Raises:
            ClewError: it is stopped.
        """
        pid = self._info(service)["pid"]
        if not pid:
            raise ClewError(f"{service} is stopped.", self.stack.command("up"))
        return int(pid)

    def _has_ended(self, pid: int) -> bool:
        with contextlib.suppress(ClewError):
            self.supervisor.answers()  # when it is asked, it looks at its children; otherwise once a second
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    def _leftovers(self) -> list[psutil.Process]:
        """Return what a supervisord that was killed left behind.

        Raises:
            ClewError: supervisord lives and does not answer, so nothing is left over.
        """
        left = self.processes()
        for process in left:
            if processes.is_supervisor(process):
                reason = f"{self.stack.title} is up, but its supervisord (process {process.pid}) does not answer."
                raise ClewError(reason, self.stack.command("down"))
        return left

    def _check_disk(self) -> None:
        """Make sure that the disk has room.

        Raises:
            ClewError: it has less than NEEDED_BYTES left, or another user owns the folder.
        """
        with self._writable():
            self.stack.state.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.stack.state).free
        if free < NEEDED_BYTES:
            reason = f"The disk of {shown(self.home)} is full: {free // 2**20} MiB of {NEEDED_BYTES // 2**20} are free."
            raise ClewError(reason, f"free some space, then {self.stack.command('up')}")

    def _write_files(self) -> None:
        with self._writable():
            shutil.rmtree(self.home, ignore_errors=True)
            self.home.mkdir(parents=True)
            write_folders(self.stack, self.home)

    @contextlib.contextmanager
    def _writable(self) -> Iterator[None]:
        """Say whose folder it is that cannot be written."""
        try:
            yield
        except PermissionError as error:
            reason = f"{shown(self.home)} cannot be written ({error.strerror}); it belongs to {owner_of(self.home)}."
            raise ClewError(reason, f"sudo rm -r {shlex.quote(str(self.stack.state))}") from None


def _state(info: dict[str, Any]) -> str:
    """Return the contract's word for what supervisord says of a service."""
    if info["state"] in ("RUNNING", "STOPPING") or (info["state"] == "STARTING" and not info["failed"]):
        return "paused" if processes.is_frozen(info["pid"]) else "running"
    return "stopped"  # also when it is started over and over
