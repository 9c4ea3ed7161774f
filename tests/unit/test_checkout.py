"""One command at a time sets up a checkout; what to type when something is in the way."""

import errno
import os
import signal

import pytest

from clew.core.errors import ClewError
from clew.core.processes import run
from clew.provision import not_writable, one_at_a_time


def test_second_caller_waits_and_gives_up_at_the_deadline(checkout):
    said: list[str] = []
    with one_at_a_time("it", print):
        second = one_at_a_time("it", said.append, 0.3)
        with (
            pytest.raises(ClewError, match=r"Timed out after 0 s waiting for the command that holds .*\nNext: fuser"),
            second,
        ):
            pass
        with one_at_a_time("something else", print, 0.3):
            pass
    assert len(said) == 1
    with one_at_a_time("it", said.append, 0.3):
        pass
    assert len(said) == 1


def test_child_keeps_the_lock(checkout):
    with one_at_a_time("it", print) as lock:
        child = run(["sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $!"], 10, pass_fds=[lock]).output
    try:
        with pytest.raises(ClewError), one_at_a_time("it", print, 0.3):
            pass
    finally:
        os.kill(int(child), signal.SIGKILL)
    with one_at_a_time("it", print, 10):
        pass


def test_error_ends_with_what_to_type():
    error = ClewError("It is broken.", "make doctor")
    assert str(error) == "It is broken.\nNext: make doctor"
    assert (error.message, error.next_step) == ("It is broken.", "make doctor")


@pytest.mark.parametrize(
    ("code", "writable", "owner", "step"),
    [
        (errno.ENOSPC, True, 0, "df -h ."),
        (errno.EACCES, True, 0, "chmod -R u+rwX "),
        (errno.EACCES, True, 1, "sudo chown -R "),
        (errno.EROFS, True, 0, "cp -r "),
        (errno.EACCES, False, 0, "cp -r "),
        (errno.ENOTDIR, True, 0, "mv "),
    ],
    ids=["disk full", "read-only folder", "belongs to root", "read-only disk", "checkout of another user", "a file"],
)
def test_what_to_do_when_nothing_can_be_written(checkout, monkeypatch, code, writable, owner, step):
    (checkout / ".venv/lib").mkdir(parents=True)
    ours = os.geteuid()
    monkeypatch.setattr(os, "access", lambda path, mode: writable)
    monkeypatch.setattr(os, "geteuid", lambda: ours + owner)
    error = not_writable(checkout / ".venv/lib/it", OSError(code, os.strerror(code)))
    assert error.next_step.startswith(step)
    if step in ("chmod -R u+rwX ", "sudo chown -R ", "mv "):
        assert f"{checkout}/.venv'" in error.next_step
    assert os.strerror(code) in error.message
