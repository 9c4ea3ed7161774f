"""The nine services as local processes under supervisord, with the same configuration files as in containers."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import Faults

from clew import provision
from clew.core.errors import ClewError
from clew.core.lines import parse_line
from clew.core.paths import STACK, shown
from clew.core.wait import wait_until
from clew.stacks.drivers.base import Say
from clew.stacks.drivers.ports import check_ports
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES, WORKERS
from clew.stacks.stack import Stack

MARK = "CLEW_STACK_STATE"  # in every process's environment, so that what a crash left behind is found again
# They keep their title where the environment was; their working folder tells whose they are.
OVERWRITE_ENVIRONMENT = ("nginx", "redis-server", "valkey-server")
NEEDED_BYTES = 100 * 1024 * 1024
RPC_SECONDS = 15  # a service may take 10 to stop
LOG_CHUNK = 256 * 1024
NO_ANSWER = (OSError, http.client.HTTPException, xmlrpc.client.Error)
STATES = {"RUNNING": "running", "STARTING": "running", "BACKOFF": "stopped", "STOPPING": "running"}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=RPC_SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self.path))
        except OSError:
            self.sock.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket, with a deadline, which supervisor's own transport has not."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        self._connection = host, _UnixConnection(self.path)  # which `close` closes
        return self._connection[1]


class LocalDriver:
    """Runs a stack under one supervisord of its own; its files are in `.clew/<stack>/`."""

    name = "local"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.home = stack.state / "local"
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        # Not in `home`: the path of a Unix socket must be shorter than about 100 characters.
        self.socket = Path(tempfile.gettempdir()) / f"clew-{os.getuid()}-{digest}.sock"

    def prepare(self, say: Say) -> None:
        provision.ensure_nginx(say)
        provision.ensure_redis(say)

    def preflight(self) -> None:
        if not self._supervisor_answers():
            self._check_disk()
            if not self.processes():  # those of a crash are ended first
                check_ports(self.stack, privileged=os.getuid() == 0)

    def up(self) -> None:
        if self._supervisor_answers():
            for service, state in self.status().items():
                if state == "stopped":
                    self.start(service)
                elif state == "paused":
                    self.unpause(service)
            return
        self._end_leftovers()
        check_ports(self.stack, privileged=os.getuid() == 0)
        self._write_files()
        # It leaves this session as soon as it listens: Ctrl-C here is for the command, not for the services.
        output = self.home / "supervisord.out"
        try:
            with output.open("wb") as file:
                subprocess.run(
                    [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.home / "supervisord.conf")],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    env={**os.environ, MARK: str(self.home)},
                    timeout=30,
                    check=True,
                )
        except subprocess.SubprocessError as error:
            words = output.read_text(errors="replace").strip()[-500:] or str(error)
            raise ClewError(f"supervisord did not start: {words}", self.stack.command("down")) from None
        try:
            wait_until(self._supervisor_answers, 10, "supervisord to answer", self.stack.command("down"), every=0.02)
        except ClewError as error:
            log = self.home / "supervisord.log"
            words = log.read_text(errors="replace").strip()[-500:] if log.exists() else ""
            raise ClewError(f"{error.message}\n{words}".rstrip(), error.next_step) from None

    def down(self) -> None:
        if self._supervisor_answers():
            with contextlib.suppress(ClewError):  # what is left then is ended below
                pid = self._call("getPID")
                self._call("shutdown")
                wait_until(lambda: self._has_ended(pid), 25, "supervisord to end", "", every=0.05)
        self._end_leftovers()
        self.socket.unlink(missing_ok=True)
        shutil.rmtree(self.home / "redis", ignore_errors=True)

    def discard(self, services: Sequence[str]) -> None:
        for service in services:
            self.stop(service)

    def status(self) -> dict[str, str]:
        if not self._supervisor_answers():
            return dict.fromkeys(SERVICES, "absent")
        states = {}
        for process in self._call("getAllProcessInfo"):
            state = STATES.get(process["statename"], "stopped")
            if state == "running" and process["pid"]:
                with contextlib.suppress(psutil.Error):
                    if psutil.Process(process["pid"]).status() == psutil.STATUS_STOPPED:
                        state = "paused"
            states[process["name"]] = state
        return {service: states.get(service, "absent") for service in SERVICES}

    def started(self) -> dict[str, float]:
        if not self._supervisor_answers():
            return {}
        processes = self._call("getAllProcessInfo")
        return {process["name"]: float(process["start"]) for process in processes if process["pid"]}

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        return {service: self._lines(service, since) for service in SERVICES}

    def kill(self, service: str) -> None:
        pid = self._info(service)["pid"]
        if pid:
            # Frozen, it cannot act on the SIGTERM by which supervisord learns that it is meant to stay down.
            os.killpg(pid, signal.SIGSTOP)
            self._call("stopProcess", f"stack:{service}", False)
            os.killpg(pid, signal.SIGKILL)
            self._wait_stopped([service])
        else:
            self.stop(service)

    def stop(self, service: str) -> None:
        self._call("stopProcess", f"stack:{service}", but=Faults.NOT_RUNNING)

    def start(self, service: str) -> None:
        self._call("startProcess", f"stack:{service}", False, but=Faults.ALREADY_STARTED)

    def restart(self, services: Sequence[str]) -> None:
        for service in services:
            self._call("stopProcess", f"stack:{service}", False)
        self._wait_stopped(services)
        for service in services:
            self._call("startProcess", f"stack:{service}", False)

    def _wait_stopped(self, services: Sequence[str]) -> None:
        def stopped() -> bool:
            return all(self._info(service)["statename"] in ("STOPPED", "EXITED", "FATAL") for service in services)

        wait_until(stopped, 30, f"{', '.join(services)} to stop", self.stack.command("down"), every=0.02)

    def _info(self, service: str) -> dict[str, Any]:
        return dict(self._call("getProcessInfo", f"stack:{service}"))

    def reload_nginx(self) -> None:
        self._call("signalProcess", f"stack:{NGINX}", "HUP")

    def pause(self, service: str) -> None:
        tree = self._tree(service)
        for process in tree:
            process.suspend()
        wait_until(
            lambda: all(process.status() == psutil.STATUS_STOPPED for process in tree),
            5,
            f"{service} to freeze",
            self.stack.command("status"),
            every=0.01,
        )

    def unpause(self, service: str) -> None:
        for process in self._tree(service):
            process.resume()

    def _tree(self, service: str) -> list[psutil.Process]:
        pid = self._info(service)["pid"]
        if not pid:
            raise ClewError(f"{service} does not run.", self.stack.command("up"))
        main = psutil.Process(pid)
        return [main, *main.children(recursive=True)]

    def _call(self, method: str, *arguments: Any, but: int | None = None) -> Any:
        """Call supervisord; the fault `but` says that there is nothing to do.

        Raises:
            ClewError: it does not answer, or cannot do it.
        """
        try:
            return self._rpc(method, *arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == but:
                return None
            reason = f"supervisord cannot {method}({', '.join(map(str, arguments))}): {fault.faultString}."
            raise ClewError(reason, self.stack.command("status")) from None
        except NO_ANSWER as error:
            raise ClewError(f"supervisord does not answer: {error}.", self.stack.command("up")) from None

    def _rpc(self, method: str, *arguments: Any) -> Any:
        with xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(self.socket)) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def _supervisor_answers(self) -> bool:
        try:
            return bool(self._rpc("getState")["statename"] == "RUNNING")
        except NO_ANSWER:
            return False

    def _has_ended(self, pid: int) -> bool:
        with contextlib.suppress(*NO_ANSWER):
            self._rpc("getState")  # being asked makes it look at its children, which else it does once a second
        try:
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True

    def processes(self) -> list[psutil.Process]:
        """Return every process of this stack that lives, also those whose supervisord was killed."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and self._is_own(process):
                    found.append(process)
        return found

    def _is_own(self, process: psutil.Process) -> bool:
        if process.name() in OVERWRITE_ENVIRONMENT:
            return Path(process.cwd()).is_relative_to(self.home)
        return bool(process.environ().get(MARK) == str(self.home))

    def _end_leftovers(self) -> None:
        left = self.processes()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.resume()  # a frozen process cannot end
                process.terminate()
        _, alive = psutil.wait_procs(left, timeout=5)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=5)

    def _check_disk(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.home).free
        if free < NEEDED_BYTES:
            raise ClewError(
                f"The disk of {shown(self.home)} is full: {free // 2**20} MiB of {NEEDED_BYTES // 2**20} are free.",
                f"free some space, then {self.stack.command('up')}",
            )

    def _write_files(self) -> None:
        for name in ("redis", "nginx", "srv", "logs"):
            shutil.rmtree(self.home / name, ignore_errors=True)
            (self.home / name).mkdir(parents=True)
        (self.home / "srv/stack").mkdir()
        (self.home / "srv/stage").symlink_to(self.stack.folder)
        nginx = self.home / "srv/stack/nginx"
        shutil.copytree(STACK / "nginx", nginx)
        servers = (nginx / "upstream.conf").read_text()
        for server in API_SERVERS:
            servers = servers.replace(f"{server}:8000", f"127.0.0.1:{self.stack.ports[server]}")
        (nginx / "upstream.conf").write_text(servers)
        listen = (nginx / "listen.conf").read_text()
        (nginx / "listen.conf").write_text(listen.replace("listen 80;", f"listen 127.0.0.1:{self.stack.port};"))
        (self.home / "supervisord.conf").write_text(self._supervisord_conf())

    def _supervisord_conf(self) -> str:
        parts = [
            f"[supervisord]\nlogfile={_escaped(self.home)}/supervisord.log\npidfile={_escaped(self.home)}/supervisord.pid\nlogfile_maxbytes=1MB",
            f"[unix_http_server]\nfile={self.socket}\nchmod=0700",
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            "[group:stack]\nprograms=" + ",".join(SERVICES),
        ]
        for service in SERVICES:
            command, folder, environment = self._program(service)
            quoted = ",".join(f'{name}="{value.replace("%", "%%")}"' for name, value in environment.items())
            parts.append(
                f"[program:{service}]\n"
                f"command={shlex.join(command).replace('%', '%%')}\n"
                f"directory={_escaped(folder)}\n"
                f"environment={quoted}\n"
                f"stdout_logfile={_escaped(self.home)}/logs/{service}.log\n"
                "stdout_logfile_maxbytes=20MB\nstdout_logfile_backups=1\nredirect_stderr=true\n"
                "autorestart=true\nstartretries=5\nstopwaitsecs=10\nkillasgroup=true"
            )
        return "\n\n".join(parts) + "\n"

    def _program(self, service: str) -> tuple[list[str], Path, dict[str, str]]:
        """Return a service's command, working folder and environment: compose.yaml's, with this machine's paths."""
        stage, port = self.stack.folder, self.stack.ports.get(service)
        environment = {
            "SERVICE_NAME": service,
            "REDIS_URL": f"redis://127.0.0.1:{self.stack.ports[REDIS]}/0",
            "READY_FILE": f"{self.home}/{service}.ready",
            "PYTHONPATH": str(STACK),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        utc = {"TZ": "UTC"}  # as in the containers: their log lines bear no time zone
        if service == NGINX:
            conf = self.home / "srv/stack/nginx/main.conf"
            return [str(provision.find_nginx()), "-p", f"{self.home}/nginx/", "-c", str(conf)], self.home, utc
        if service == REDIS:
            # It takes its options for a configuration file's lines, and would split a path with a space in it.
            options = f"--port {port} --bind 127.0.0.1 --dir .".split()
            return [str(provision.find_redis()), str(STACK / "redis/redis.conf"), *options], self.home / "redis", utc
        if service in WORKERS:
            options = ["--concurrency", "4", "-Q", "high,medium,low", "--without-mingle", "--without-gossip"]
            options += ["--hostname", f"celery@{service}"]
            return (
                [sys.executable, "-m", "celery", "--quiet", "-A", "tasks", "worker", *options],
                stage / "celery-worker",
                environment,
            )
        if service == FLOWER:
            options = f"--port={port} --address=127.0.0.1 --logging=none".split()
            command = [sys.executable, "-m", "celery", "-A", "taskqueue.monitor", "flower", *options]
            return command, self.home, environment
        options = f"--host 127.0.0.1 --port {port} --no-access-log".split()
        options += ["--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "5"]
        return [sys.executable, "-m", "uvicorn", "main:app", *options], stage / "fastapi-app", environment

    def _lines(self, service: str, since: float | None) -> list[str]:
        path = self.home / "logs" / f"{service}.log"
        if not path.exists():
            return []
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            content = b""
            while position > 0 and (since is None or not _begins_before(content, since)):
                step = min(LOG_CHUNK, position)
                position = file.seek(position - step)
                content = file.read(step) + content
        if position:
            content = content.partition(b"\n")[2]
        return content.decode(errors="replace").split("\n")


def _begins_before(content: bytes, since: float) -> bool:
    """Tell whether the first whole JSON line of a piece of a log is older than `since`."""
    for line in content.split(b"\n")[1:-1]:
        when = parse_line("", line.decode(errors="replace")).get("ts")
        if when is not None:
            return bool(when < since)
    return False


def _escaped(path: Path) -> str:
    """Return a path as supervisord's configuration takes it."""
    return str(path).replace("%", "%%")
