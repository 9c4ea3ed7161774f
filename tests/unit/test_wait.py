"""Waits that end, with a stated reason, and locks."""

import time

import pytest

from clew.core import locks
from clew.core.errors import ClewError
from clew.core.wait import Deadline, wait_until


def test_wait_ends_when_the_condition_is_true():
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 10, "it", "make doctor", every=0.001) > 0


def test_wait_that_times_out_says_what_for():
    with pytest.raises(ClewError) as caught:
        wait_until(lambda: False, 0.05, "nginx to answer", "make stage-3 logs", every=0.01)
    assert str(caught.value) == "Timed out after 0 s waiting for nginx to answer.\nNext: make stage-3 logs"


def test_the_condition_is_asked_even_when_no_time_is_left():
    assert wait_until(lambda: True, Deadline(0), "it", "") < 1


def test_waits_share_a_deadline():
    deadline = Deadline(0.2)
    started = time.monotonic()
    for _ in range(50):
        with pytest.raises(ClewError):
            wait_until(lambda: False, deadline, "it", "", every=0.01)
    assert time.monotonic() - started < 5  # each alone would take 0.2 s: 10 s
    assert deadline.left == 0


def test_a_lock_is_held_once_and_released(tmp_path):
    waited: list[str] = []
    path = tmp_path / "new folder/lock"
    with locks.held(path, 1, "the first", "make doctor"):
        second = locks.held(path, 0.05, "the first", "make doctor", lambda: waited.append("waits"))
        with pytest.raises(ClewError, match=r"waiting for the first\.\nNext: make doctor"), second:
            pass
        with locks.held(tmp_path / "another", 0, "nobody", "make doctor"):
            pass
    assert waited == ["waits"]
    with locks.held(path, 0, "nobody", "make doctor", lambda: waited.append("waits")):
        pass
    assert waited == ["waits"]
