"""The live view in a terminal of 80 columns and 24 lines, on a stack that runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest
from up import Up

CONTROL = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[()][AB0]|\x1b[>=]|\x1b\][^\x07]*\x07")


@pytest.mark.timeout(60)
def test_hops_light_up_and_q_quits(stage_5: Up) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-I", "-m", "clew", "watch", "5"]
    running = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm-256color"}
    )
    os.close(slave)
    shown = b""

    def until(pattern: str, seconds: float = 20) -> None:
        nonlocal shown
        end = time.monotonic() + seconds
        while not re.search(pattern, CONTROL.sub(b"", shown).decode(errors="replace")):
            assert time.monotonic() < end, f"{pattern!r} is not in {CONTROL.sub(b'', shown)[-2000:]!r}"
            if select.select([master], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):
                    shown += os.read(master, 65536)

    try:
        until("Nothing has passed yet")
        os.write(master, b"s")
        until("answered 201")
        until(r"(?:>?● kept<?\s+){4}>?● kept")  # in brackets while it is lit
        os.write(master, b"q")
        assert running.wait(10) == 0
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        os.close(master)


def test_without_a_terminal_it_says_so(stage_5: Up) -> None:
    command = [sys.executable, "-I", "-m", "clew", "watch", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "The live view needs a terminal." in done.stderr
    assert "make stage-5 logs" in done.stderr
