"""Held only when all was seen and all is as it should be."""

import pytest
from fake_drill import account, complete, request, start

from clew.drills import judge
from clew.drills.calm import Calm
from clew.drills.model import EXIT_CODES, Check, Fault, at_most, exactly

GOOD, BAD, OPEN = Check("a", "0", "0", True), Check("b", "0", "1", False), Check("c", "0", "not measured", None)


@pytest.mark.parametrize(
    ("checks", "doubts", "incomplete", "verdict"),
    [
        ([GOOD], [], [], "held"),
        ([GOOD, BAD], [], [], "broken"),
        ([GOOD, OPEN], [], [], "unknown"),
        ([BAD, OPEN], [], [], "broken"),
        ([GOOD], ["the fault did not land"], [], "unknown"),
        ([BAD], ["the fault did not land"], [], "broken"),  # a lost task is lost without a fault, too
        ([BAD], [], ["a log is incomplete"], "unknown"),
        ([], [], [], "unknown"),
    ],
)
def test_the_verdict(checks, doubts, incomplete, verdict):
    assert judge.verdict(checks, doubts, incomplete) == verdict


def test_exit_codes():
    assert EXIT_CODES == {"held": 0, "broken": 1, "unknown": 2}


def test_a_fault_that_did_not_land_is_a_doubt():
    good = account([request(1, 201)], [start(1), complete(1)])
    assert judge.doubts([Fault("kill", "redis-broker", 1.0, landed=True)], good) == []
    assert judge.doubts([Fault("kill", "redis-broker", 1.0)], good) == ["The fault did not land: kill redis-broker."]


def test_a_load_that_nobody_accepted_is_a_doubt():
    assert judge.doubts([], account([], [])) == ["No request was accepted."]
    assert judge.doubts([], account([request(1, 503)], [])) == ["No request was accepted."]


def test_requests_at_a_rate_that_are_sent_late_or_never_are_a_doubt():
    in_time = [request(n, 201, planned_at=99.5, paced=True) for n in range(97)]
    late = [request(n, 201, planned_at=98.0, paced=True) for n in range(97, 100)]
    assert "3 were sent more than 1 s late" in judge.doubts([], account([*in_time, *late], []))[0]
    assert "3 not at all" in judge.doubts([], account([*in_time, *(request(n, paced=True) for n in range(3))], []))[0]
    assert judge.doubts([], account([*in_time, *late[:1]], [])) == []


def test_a_burst_may_take_its_time():
    assert judge.doubts([], account([request(1, 201, planned_at=90.0)], [])) == []


@pytest.mark.parametrize(("found", "ok", "told"), [
    (8.0, True, "8 s"), (8.01, False, "8.01 s"), (None, None, "not measured"), (float("inf"), False, "never"),
])  # fmt: skip
def test_at_most(found, ok, told):
    check = at_most("a", 8, found, "s")
    assert (check.ok, check.found, check.should) == (ok, told, "≤ 8 s")


@pytest.mark.parametrize(("found", "ok"), [(500, True), (499, False), (501, False), (None, None)])
def test_exactly(found, ok):
    assert exactly("a", 500, found).ok is ok


def test_what_must_always_be_so():
    good = account([request(1, 201)], [start(1), complete(1)])
    assert all(check.ok for check in judge.always(good))
    good.ended_unexpectedly = {"celery-worker-1": 1}
    assert [check.what for check in judge.always(good) if not check.ok] == ["services that ended unexpectedly"]


def test_what_needs_a_calm_machine_shows_nothing_when_it_fails_on_another():
    slow, lost = at_most("p99", 1500, 1600.0, "ms"), exactly("lost", 0, 1)
    failed = exactly("failed", 0, 2, needs_calm=True)
    assert judge.excused([slow, lost, failed], None) == [slow, lost, failed]
    found = judge.excused([slow, lost, failed, at_most("p99", 1500, 1400.0, "ms")], "this machine stalled for 0.9 s")
    assert [check.ok for check in found] == [None, False, None, True]
    assert found[0].found == "1,600 ms (this machine stalled for 0.9 s)"


def test_a_machine_is_calm_when_it_neither_stalls_nor_falls_behind():
    in_time = account([request(1, 201, planned_at=100.0, paced=True)], [])
    late = account([request(1, 201, planned_at=90.0, paced=True)], [])
    assert judge.unrest(in_time, 0.1) is judge.unrest(in_time, None) is None
    assert judge.unrest(in_time, 0.9) == "this machine stalled for 0.9 s"
    assert judge.unrest(late, 0.1) == "this machine could not keep up with the load"


def test_the_longest_stall_is_measured(tmp_path):
    calm = Calm(tmp_path)
    assert calm.end() is None  # it never began
    calm.begin()
    assert calm.end() >= 0
    calm.folder = tmp_path / "not there"
    calm.begin()
    assert calm.end() is None
