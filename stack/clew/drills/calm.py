"""How calm the machine is while a drill runs: a time limit that is missed on a machine that stalls shows nothing.

Run as a script, it sleeps and syncs a small file, again and again, until its input is closed; then it prints how much
longer than it should the longest sleep or sync took, in seconds. A process of its own: Python's lock in the drill's
would count as a stall, and so would the drill's own load.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVERY_SECONDS = 0.1
STALL_SECONDS = 0.3
END_SECONDS = 10


def longest_stall(folder: Path) -> float:
    """Look until standard input is closed; return the longest stall in seconds."""
    longest = 0.0
    with tempfile.TemporaryFile(dir=folder) as file:
        while True:
            began = time.monotonic()
            closed, _, _ = select.select([sys.stdin], [], [], EVERY_SECONDS)
            if closed:
                return longest
            file.write(b".")
            file.flush()
            os.fdatasync(file.fileno())
            longest = max(longest, time.monotonic() - began - EVERY_SECONDS)


class Calm:
    """Looks at the machine, from `begin` to `end`, in the folder whose disk the stack uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        command = [sys.executable, "-I", __file__, str(self.folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def end(self) -> float | None:
        """Return the longest stall in seconds, None when nobody knows."""
        if self._process is None:
            return None
        process, self._process = self._process, None
        try:
            told, _ = process.communicate(timeout=END_SECONDS)
            return float(told)
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            process.wait()
            return None


if __name__ == "__main__":
    print(longest_stall(Path(sys.argv[1])))
