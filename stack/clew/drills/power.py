"""A power cut of Redis, emulated: its append-only file is cut to what the disk had been told to keep.

SIGKILL is no power cut: what a process has written is in the kernel, and survives it. So `strace` watches which bytes
Redis writes and which it has synced (`fdatasync`, `fsync`), and after SIGKILL the rest is cut off. Local driver only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from clew.core import processes
from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.drivers.local import processes as of_stack
from clew.stacks.services import REDIS

ATTACH_SECONDS = 5
CALL = re.compile(r"^(\d+) +(write|fdatasync|fsync)\(\d+<([^>]*)>")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (write|fdatasync|fsync) resumed>")
RETURNED = re.compile(r"\) += (-?\d+)")


def synced_bytes(trace: Iterable[str], path: str, size: int) -> int:
    """Return how long a file is after a power cut, from strace's lines: as long as at the last sync that succeeded.

    `size` was its length, all of it synced, before the first line. What was written after a sync had begun is not part
    of that sync.
    """
    written = synced = size
    begun: dict[str, tuple[str, int]] = {}  # a thread's call on this file, and what had been written when it began
    for line in trace:
        if found := CALL.match(line):
            thread, call, file = found.groups()
            if file != path:
                continue
            begun[thread] = call, written
        elif found := RESUMED.match(line):
            thread = found[1]
        else:
            continue
        returned = RETURNED.search(line)
        if returned is None or thread not in begun:  # it has not ended yet
            continue
        call, before = begun.pop(thread)
        if call == "write":
            written += max(0, int(returned[1]))
        elif int(returned[1]) == 0:
            synced = max(synced, before)
    return synced


def redis_process(driver: LocalDriver) -> psutil.Process:
    """Return Redis's process.

    Raises:
        ClewError: it does not run.
    """
    for process in driver.processes():
        if of_stack.service_of(process) == REDIS:
            return process
    raise ClewError("Redis does not run.", "make drills")


def append_only_file(process: psutil.Process) -> Path | None:
    """Return the append-only file that Redis has open; None when it has none, as with the stock settings."""
    return next((Path(file.path) for file in process.open_files() if file.path.endswith(".incr.aof")), None)


class SyncTrace:
    """Watches what Redis writes and syncs, from `attach` until Redis ends.

    `driver` runs the stack, `notes` is where strace writes.
    """

    def __init__(self, driver: LocalDriver, notes: Path) -> None:
        self.redis = redis_process(driver)
        path = append_only_file(self.redis)
        if path is None:
            raise ClewError("Redis has no append-only file open, so nothing can be cut.", "make drills")
        self.path = path
        self.notes = notes
        self.size = 0
        self._strace: subprocess.Popen[bytes] | None = None

    def attach(self) -> None:
        """Begin to watch. Nothing may be written until then, and all that was written must have been synced.

        Raises:
            ClewError: strace is missing, or may not watch here.
        """
        if shutil.which("strace") is None:
            raise ClewError("There is no strace, without which nobody knows what was synced.", "apt-get install strace")
        calls = "trace=openat,write,fdatasync,fsync"
        command: list[Any] = ["strace", "-f", "-y", "-s", "0", "-e", calls, "-e", "signal=none", "-o", self.notes]
        told = self.notes.with_suffix(".out")
        with told.open("wb") as file:
            self._strace = subprocess.Popen(
                [*command, "-p", str(self.redis.pid)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},
            )
        strace = self._strace
        wait_until(
            lambda: b"attached" in told.read_bytes() or strace.poll() is not None,
            ATTACH_SECONDS,
            "strace",
            "make drills",
        )
        if strace.poll() is not None:
            raise ClewError(f"strace cannot watch Redis here: {told.read_text().strip()[-200:]}", "make drills")
        self.size = self.path.stat().st_size

    def cut(self) -> int:
        """Once Redis was killed: cut its file to what had been synced; return how many bytes that removed."""
        assert self._strace is not None
        strace = self._strace
        wait_until(lambda: strace.poll() is not None, ATTACH_SECONDS, "strace to end", "make drills")
        with self.notes.open(errors="replace") as lines:
            keep = synced_bytes(lines, str(self.path), self.size)
        size = self.path.stat().st_size
        if keep < size:
            os.truncate(self.path, keep)
        return size - min(keep, size)

    def end(self) -> None:
        """Stop watching, whatever happened."""
        if self._strace is not None and self._strace.poll() is None:
            processes.end_group(self._strace, 2)
