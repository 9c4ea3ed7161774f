"""What a power cut leaves of a file, read from strace's lines; and malformed messages that are malformed."""

import random

import pytest

from clew.drills import hostile
from clew.drills.power import synced_bytes
from taskqueue.reliability import wellformed

AOF = "/data/appendonly.aof.1.incr.aof"
TASKS = {"taskqueue.rehearsal"}


def written(count, file=AOF, thread=10):
    return f'{thread} write(8<{file}>, ""..., {count}) = {count}'


SYNC = f"10 fdatasync(8<{AOF}>) = 0"


@pytest.mark.parametrize(
    ("trace", "left"),
    [
        ([], 1000),
        ([written(57)], 1000),
        ([written(57), SYNC], 1057),
        ([written(57), SYNC, written(3)], 1057),
        ([written(57), SYNC, written(3), SYNC], 1060),
        ([written(57, "/data/other"), SYNC], 1000),
        ([written(57), "10 fdatasync(9</data/other>) = 0"], 1000),
        ([written(57), f"10 fdatasync(8<{AOF}>) = -1 EIO (Input/output error)"], 1000),
        ([f'10 write(8<{AOF}>, ""..., 57) = 20', SYNC], 1020),
        ([f'10 write(8<{AOF}>, ""..., 57) = -1 ENOSPC (No space left on device)', SYNC], 1000),
    ],
)
def test_only_what_a_sync_has_confirmed_is_left(trace, left):
    assert synced_bytes(trace, AOF, 1000) == left


def test_what_another_thread_writes_during_a_sync_is_not_part_of_it():
    trace = [
        written(10),
        f"11 fdatasync(8<{AOF}> <unfinished ...>",
        written(5),
        "11 <... fdatasync resumed>) = 0",
        written(1),
    ]
    assert synced_bytes(trace, AOF, 0) == 10


def test_a_sync_that_was_cut_off_confirms_nothing():
    trace = [written(10), f"11 fdatasync(8<{AOF}> <unfinished ...>", "11 +++ killed by SIGKILL +++"]
    assert synced_bytes(trace, AOF, 0) == 0


def test_a_write_that_was_interrupted_by_another_thread():
    trace = [f'10 write(8<{AOF}>, ""..., 10 <unfinished ...>', "10 <... write resumed>) = 10", SYNC]
    assert synced_bytes(trace, AOF, 0) == 10


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_each_kind_of_hostile_message_is_malformed(kind):
    with pytest.raises(wellformed.Malformed):
        wellformed.check_task(hostile.raw(kind, random.Random(7)), TASKS)


def test_the_message_that_they_are_made_from_is_well_formed():
    message = hostile.raw_of(hostile.good_message(random.Random(7)))
    wellformed.check_task(message, TASKS)


def test_the_large_message_is_refused_for_its_size_alone(monkeypatch):
    monkeypatch.setattr(hostile, "LARGE_BYTES", 2000)
    message = hostile.large(random.Random(7))
    wellformed.check_task(message, TASKS)
    monkeypatch.setattr(wellformed, "MAX_TASK_BYTES", len(message) - 1)
    with pytest.raises(wellformed.Malformed, match="longer than"):
        wellformed.check_task(message, TASKS)
