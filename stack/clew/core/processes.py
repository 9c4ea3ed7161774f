"""The one way to run a command: with a deadline that holds, and with everything it started ended at that deadline."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from clew.core.wait import Deadline

NOT_FOUND = 127
TIMED_OUT = 124
LOOK_EVERY = 0.05
PIPE_BYTES = 1 << 20  # the most that a pipe can hold


@dataclass(frozen=True)
class Result:
    """How a command ended; `output` has its standard error too, unless that was asked for in `errors`."""

    code: int  # NOT_FOUND when it could not be started, TIMED_OUT when it was stopped at the deadline
    output: str
    errors: str = ""


def run(
    command: Sequence[str | Path],
    seconds: float | Deadline,
    *,
    separate: bool = False,
    on_line: Callable[[str], object] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    grace: float = 2.0,
) -> Result:
    """Run a command to its end or its deadline; never raise because of what it did.

    It gets no input and a session of its own, so Ctrl-C in the terminal reaches only this program. At the deadline, and
    when this program is interrupted, the whole process group is sent SIGTERM, and SIGKILL after `grace` seconds.
    A process that the command left behind may keep the pipe open; nobody waits for it.

    Args:
        seconds: the time limit, or a deadline shared with other waits.
        separate: return standard error in `errors` instead of mixed into `output`.
        on_line: called with each line of `output` when it arrives, without its line ending.
        env: variables in addition to those of this process.
        pass_fds: file descriptors that the command inherits.
    """
    deadline = seconds if isinstance(seconds, Deadline) else Deadline(seconds)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if separate else subprocess.STDOUT,
            start_new_session=True,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            pass_fds=pass_fds,
        )
    except OSError as error:
        text = f"{command[0]}: {error.strerror}"
        return Result(NOT_FOUND, *(("", text) if separate else (text, "")))
    try:
        pipes = [_Pipe(process.stdout, on_line), _Pipe(process.stderr)]
        _read_until_end(process, pipes, deadline)
        expired = process.poll() is None
        if expired:
            end_group(process, grace)
        for pipe in pipes:
            pipe.read(PIPE_BYTES)
            pipe.finish()
    except BaseException:
        end_group(process, grace)
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    output, errors = (pipe.text for pipe in pipes)
    if not expired:
        return Result(process.returncode, output, errors)
    told = f"stopped after {deadline.seconds:.0f} s"
    if separate:
        return Result(TIMED_OUT, output, f"{errors}\n{told}".strip())
    return Result(TIMED_OUT, f"{output}\n{told}".strip())


class _Pipe:
    """What a command writes into one pipe, read without ever waiting for it."""

    def __init__(self, stream: IO[bytes] | None, on_line: Callable[[str], object] | None = None) -> None:
        self.stream = stream
        self.content = bytearray()
        self._on_line = on_line
        self._told = 0
        if stream:
            os.set_blocking(stream.fileno(), False)

    def read(self, limit: int = 65536) -> bool:
        """Read what is there, at most about `limit` bytes; return False at the pipe's end."""
        while self.stream and limit > 0:
            try:
                chunk = os.read(self.stream.fileno(), 65536)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            limit -= len(chunk)
            self.content += chunk
            self._tell()
        return self.stream is not None

    def _tell(self) -> None:
        while self._on_line and (end := self.content.find(b"\n", self._told)) >= 0:
            line, self._told = self.content[self._told : end], end + 1
            self._on_line(line.decode(errors="replace").rstrip())

    def finish(self) -> None:
        """Tell a last line that has no line ending."""
        if self._on_line and self._told < len(self.content):
            self._on_line(self.content[self._told :].decode(errors="replace").rstrip())

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace").removesuffix("\n")


def _read_until_end(process: subprocess.Popen[bytes], pipes: Sequence[_Pipe], deadline: Deadline) -> None:
    """Read the pipes until the command has ended or the deadline has passed."""
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            if pipe.stream:
                selector.register(pipe.stream, selectors.EVENT_READ, pipe)
        while deadline.left and process.poll() is None:
            if not selector.get_map():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(deadline.left)
                return
            for key, _ in selector.select(min(LOOK_EVERY, deadline.left)):
                if not key.data.read():
                    selector.unregister(key.fileobj)


def end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a command that leads its process group, and all that it started: SIGTERM, and SIGKILL after `grace` s."""
    deadline = Deadline(grace)
    alive = _signal_group(process, signal.SIGTERM)
    while alive and deadline.left:
        time.sleep(0.02)
        process.poll()  # a child that nobody has waited for still counts as alive
        alive = _signal_group(process, 0)
    if alive:
        _signal_group(process, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to the whole process group; return False when nothing of it is left."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


def tail(text: str, count: int = 3) -> str:
    """Return the last lines of an output that are not blank."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-count:]) or "it printed nothing"
