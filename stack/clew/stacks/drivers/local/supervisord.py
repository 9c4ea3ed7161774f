"""One stack's supervisord: its configuration, its start, and the calls that it answers over a Unix socket.

The socket is in a folder of its own under /tmp, because the path of a Unix socket must be shorter than about 100
characters. The file `socket` among the stack's files has that path, so every shell finds it, whatever its TMPDIR is.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.stacks.drivers.local.processes import MARK
from clew.stacks.drivers.local.programs import Program
from clew.stacks.stack import Stack, on_these_ports

RPC_SECONDS = 10  # no call waits for a service
START_SECONDS = 30
INTERFACE = "supervisor.rpcinterface_factory"
NO_ANSWER = (OSError, http.client.HTTPException, xmlrpc.client.Error)


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
    """XML-RPC over a Unix socket, with a deadline, which supervisor's own transport does not have."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        self._connection = host, _UnixConnection(self.path)  # which `close` closes
        return self._connection[1]


class Supervisor:
    """Starts a stack's supervisord and calls it."""

    def __init__(self, stack: Stack, home: Path) -> None:
        self.stack = stack
        self.home = home
        self.note = home / "socket"
        self.configuration = home / "supervisord.conf"

    def start(self, programs: Mapping[str, Program]) -> None:
        """Start supervisord with these programs; return when it answers.

        Raises:
            ClewError: it did not start; the message has its last words.
        """
        folder = Path(tempfile.mkdtemp(prefix="clew-", dir="/tmp"))
        self.note.write_text(f"{folder}/supervisord.sock\n")
        self.configuration.write_text(self._configured(programs))
        output = self.home / "supervisord.out"
        script = Path(__file__).with_name("supervise.py")
        try:
            with output.open("wb") as file:
                # It leaves this session when it listens: Ctrl-C in this terminal is for the command, not the services.
                subprocess.run(
                    [sys.executable, "-P", str(script), "-c", str(self.configuration)],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    env=environment_of_all(self.home),
                    timeout=START_SECONDS,
                    check=True,
                )
        except subprocess.SubprocessError as error:
            words = output.read_text(errors="replace").strip()[-500:] or str(error)
            raise ClewError(f"supervisord did not start: {words}", self.stack.command("down")) from None
        try:
            wait_until(self.answers, RPC_SECONDS, "supervisord to answer", self.stack.command("down"), every=0.02)
        except ClewError as error:
            log = self.home / "supervisord.log"
            words = log.read_text(errors="replace").strip()[-500:] if log.exists() else ""
            raise ClewError(f"{error.message}\n{words}".rstrip(), error.next_step) from None

    def answers(self) -> bool:
        """Tell whether supervisord runs and answers.

        Raises:
            ClewError: another user runs the stack.
        """
        try:
            return bool(self._rpc("supervisor.getState")["statename"] == "RUNNING")
        except PermissionError:
            raise self._not_ours() from None
        except NO_ANSWER:
            return False

    def call(self, method: str, *arguments: Any, but: int | None = None) -> Any:
        """Call supervisord; the fault `but` means that there is nothing to do.

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
        except PermissionError:
            raise self._not_ours() from None
        except NO_ANSWER as error:
            raise ClewError(f"supervisord does not answer: {error}.", self.stack.command("up")) from None

    def remove_socket(self) -> None:
        """Remove the socket and its folder, once supervisord has ended."""
        with contextlib.suppress(OSError):
            folder = Path(self.note.read_text().strip()).parent
            if folder.name.startswith("clew-"):
                shutil.rmtree(folder, ignore_errors=True)

    def _rpc(self, method: str, *arguments: Any) -> Any:
        transport = _UnixTransport(Path(self.note.read_text().strip()))
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy, method)(*arguments)

    def _not_ours(self) -> ClewError:
        """Return the error that names the user who runs the stack, and what to type instead."""
        owner = owner_of(self.note)
        typed = on_these_ports(os.environ.get("CLEW_COMMAND") or self.stack.command("status"))
        sudo = "sudo" if owner == "root" else f"sudo -u {owner}"
        return ClewError(f"{self.stack.title} is run by the user {owner}.", f"{sudo} {typed}")

    def _configured(self, programs: Mapping[str, Program]) -> str:
        home = _escaped(str(self.home))
        parts = [
            f"[supervisord]\nlogfile={home}/supervisord.log\npidfile={home}/supervisord.pid\nlogfile_maxbytes=1MB",
            f"[unix_http_server]\nfile={self.note.read_text().strip()}\nchmod=0700",
            f"[rpcinterface:supervisor]\n{INTERFACE}=supervisor.rpcinterface:make_main_rpcinterface",
            f"[rpcinterface:clew]\n{INTERFACE}=__main__:Clew",
        ]
        for name, program in programs.items():
            variables = ",".join(f'{key}="{_escaped(value)}"' for key, value in program.environment.items())
            parts.append(
                f"[program:{name}]\n"
                f"command={_escaped(shlex.join(program.command))}\n"
                f"directory={_escaped(str(program.folder))}\n"
                f"environment={variables}\n"
                f"stdout_logfile={home}/logs/{name}.log\nredirect_stderr=true\n"
                f"stdout_logfile_maxbytes={program.log_bytes}\nstdout_logfile_backups={program.log_files - 1}\n"
                # A program that ends within ten seconds has failed to start; supervisord tries again, ever more slowly.
                "autorestart=true\nstartsecs=10\nstartretries=1000\n"
                f"stopsignal={program.stop_signal.removeprefix('SIG')}\nstopwaitsecs={program.stop_seconds:.0f}\nkillasgroup=true"
            )
        return "\n\n".join(parts) + "\n"


def environment_of_all(home: Path) -> dict[str, str]:
    """Return what every process of a stack has in its environment besides the variables of compose.yaml.

    Of the user's own variables only two are passed on: all others may mean something to a service.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        "PATH": os.defpath,
        **kept,
        "TZ": "UTC",  # as in the containers
        "SPT_NOENV": "1",  # setproctitle, if installed, must not write Celery's title over the mark
        MARK: str(home),
    }


def owner_of(path: Path) -> str:
    """Return the user that owns a file, or the nearest folder above it that can be seen."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):
            uid = place.stat().st_uid
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return f"#{uid}"  # as sudo takes it
    return "root"


def _escaped(text: str) -> str:
    """Return a text as supervisord's configuration takes it."""
    return text.replace("%", "%%")
