"""A command with a deadline that holds."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from clew.core import processes
from clew.core.processes import NOT_FOUND, TIMED_OUT, run
from clew.core.wait import wait_until

STUBBORN = "trap '' TERM; sleep 31.4159"


def test_command_gives_code_and_output():
    lines: list[str] = []
    result = run(["sh", "-c", "echo out; echo $X >&2; printf end; exit 3"], 10, on_line=lines.append, env={"X": "err"})
    assert (result.code, result.output, result.errors) == (3, "out\nerr\nend", "")
    assert lines == ["out", "err", "end"]


def test_standard_error_by_itself():
    result = run(["sh", "-c", "echo out; echo err >&2"], 10, separate=True)
    assert (result.code, result.output, result.errors) == (0, "out", "err")


def test_everything_a_command_printed_is_there():
    result = run(["sh", "-c", "seq 200000"], 30)
    assert result.output.splitlines() == [str(number) for number in range(1, 200001)]


@pytest.mark.parametrize("separate", [False, True])
def test_command_that_is_not_there(separate):
    result = run(["/nonexistent/tool"], 10, separate=separate)
    assert result.code == NOT_FOUND
    assert "/nonexistent/tool" in (result.errors if separate else result.output)


def test_command_past_its_deadline_ends_with_its_children():
    result = run(["sh", "-c", "sleep 31.4159 & echo $!; wait"], 0.3)
    child, told = result.output.splitlines()
    assert result.code == TIMED_OUT
    assert told == "stopped after 0 s"
    assert ended(child)


@pytest.mark.parametrize("leader", ["wait", "exec sleep 31.4159"])
def test_deadline_holds_when_a_grandchild_ignores_sigterm_and_keeps_the_pipe(leader):
    started = time.monotonic()
    result = run(["sh", "-c", f'sh -c "{STUBBORN}" & echo $!; {leader}'], 1, grace=0.5)
    assert result.code == TIMED_OUT
    assert time.monotonic() - started < 15  # the grandchild would keep the pipe for 31 s
    assert ended(result.output.split()[0])


def test_nobody_waits_for_a_process_left_behind():
    started = time.monotonic()
    result = run(["sh", "-c", "echo before; sleep 31.4159 & echo $!"], 60)
    before, child = result.output.splitlines()
    assert (result.code, before) == (0, "before")
    assert time.monotonic() - started < 15
    os.kill(int(child), signal.SIGKILL)


def test_sigterm_comes_first():
    result = run(["sh", "-c", "trap 'echo cleaned up; exit 0' TERM; sleep 31.4159 & wait"], 0.5, grace=20)
    assert result.code == TIMED_OUT
    assert result.output.startswith("cleaned up\n")


def test_an_interrupted_command_ends():
    said: list[str] = []

    def interrupt(line: str) -> None:
        said.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "echo $$; sleep 31.4159"], 30, on_line=interrupt)
    assert ended(said[0])


def test_the_last_lines_of_an_output():
    assert processes.tail("a\n\nb\n c \nd\n\n") == "b\nc\nd"
    assert processes.tail(" \n") == "it printed nothing"


def ended(pid: str) -> bool:
    """Wait until a process that was sent SIGKILL is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        # A zombie's is empty.
        wait_until(lambda: not Path("/proc", pid, "cmdline").read_bytes(), 5, f"process {pid} to end", "")
    return True
