"""What is counted: each count is shown by a case that has it, and by one that nearly has."""

import pytest
from fake_drill import account, applied, complete, request, start

from clew.drills.account import incomplete, latencies, percentile, runs_in
from clew.drills.model import Attempt
from clew.stacks.services import SERVICES


def whole(number, **fields):
    """The lines of a task that ran as it should."""
    return [start(number, **fields), applied(number, **fields), complete(number, **fields)]


def test_a_run_without_faults_counts_nothing_wrong():
    counts = account([request(1, 201), request(2, 503)], whole(1)).counts()
    assert (counts["acknowledged"], counts["refused"], counts["runs"]) == (1, 1, 1)
    wrong = ("lost", "ghosts", "wrong_state", "run_twice_under_two_ids", "duplicate_effects", "extra_runs")
    assert {name: counts[name] for name in wrong} == dict.fromkeys(wrong, 0)


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((201,), "acknowledged"),
        ((200,), "acknowledged"),
        ((503,), "refused"),
        ((503, 201), "acknowledged"),
        ((503, 503), "refused"),
        ((None,), "undetermined"),
        ((504,), "undetermined"),  # a server may have accepted it, too late for nginx
        ((503, 504, 503), "undetermined"),
        ((None, 503), "undetermined"),  # the first may have been accepted
        ((), "undetermined"),
    ],
)
def test_the_outcome_of_a_request(statuses, outcome):
    assert request(1, *statuses).outcome == outcome


def test_an_answer_201_without_a_task_is_not_an_acknowledgement():
    odd = request(1)
    odd.attempts.append(Attempt(100.0, 5.0, 201, None))
    assert odd.outcome == "undetermined"


@pytest.mark.parametrize("state", ["PENDING", "STARTED", "FAILURE", "REVOKED", None])
def test_accepted_and_not_finished_as_due_is_lost(state):
    assert len(account([request(1, 201)], [start(1)], {"t1": state}).lost) == 1


def test_a_failure_that_is_due_is_not_lost_and_a_success_instead_of_it_is():
    poison = request(1, 201, due="FAILURE")
    assert account([poison], [start(1)], {"t1": "FAILURE"}).lost == []
    assert account([poison], whole(1), {"t1": "SUCCESS"}).lost == [poison]


def test_a_refused_request_that_ran_is_a_ghost_and_an_undetermined_one_is_not():
    refused, unclear = request(1, 503), request(2, None)
    assert account([refused, unclear], [*whole(1), *whole(2)]).ghosts == [refused]


def test_a_refused_request_whose_message_was_only_ignored_is_no_ghost():
    ignored = {**start(1), "hop": None, "message": "Message ignored: gone"}
    assert account([request(1, 503)], [ignored]).ghosts == []


@pytest.mark.parametrize(
    ("lines", "state", "wrong"),
    [
        (whole(1), "SUCCESS", 0),
        (whole(1), "STARTED", 1),
        (whole(1), "FAILURE", 1),
        ([start(1)], "SUCCESS", 1),
        ([start(1)], "STARTED", 0),  # lost, which is counted elsewhere
    ],
)
def test_the_state_contradicts_the_logs(lines, state, wrong):
    assert len(account([request(1, 201)], lines, {"t1": state}).wrong_state) == wrong


def test_runs_beyond_the_first_are_extra_unless_the_one_before_failed():
    killed = account([request(1, 201)], [start(1), start(1, 103.0, "celery-worker-2"), applied(1), complete(1)])
    assert (killed.extra_runs, killed.started) == (1, 2)
    failed = {**complete(1), "message": "Rehearsal FAILED: a transient failure, as asked, in run 1"}
    assert account([request(1, 201)], [start(1), failed, *whole(1)]).extra_runs == 0


def test_an_effect_applied_twice_is_a_duplicate_and_one_that_was_refused_is_not():
    again = [start(1), applied(1), start(1), applied(1, "already applied"), complete(1)]
    assert account([request(1, 201)], again).duplicate_effects == []
    assert len(account([request(1, 201)], [*again, applied(1)]).duplicate_effects) == 1


def test_one_request_under_two_task_ids_is_run_twice_and_its_effect_doubled():
    lines = [*whole(1), *(one | {"task_id": "other"} for one in whole(1))]
    found = account([request(1, 201)], lines)
    assert (len(found.twice), len(found.duplicate_effects)) == (1, 1)


def test_lines_of_other_services_are_not_runs():
    assert runs_in([{**start(1), "service": "fastapi-server-1"}]) == {}


def test_a_start_before_a_more_urgent_task_is_out_of_order():
    high, low = request(1, 201, priority="high"), request(2, 201, priority="low")
    found = account([high, low], [start(2, 101.0), start(1, 102.0)])
    assert found.out_of_order([high, low]) == 1
    assert account([high, low], [start(1, 101.0), start(2, 102.0)]).out_of_order([high, low]) == 0


def test_starts_at_the_same_moment_and_urgent_tasks_that_came_later_are_in_order():
    high, low = request(1, 201, priority="high"), request(2, 201, priority="low")
    assert account([high, low], [start(2, 101.0), start(1, 101.04)]).out_of_order([high, low]) == 0
    high.attempts = [Attempt(101.5, 5.0, 201, "t1")]
    assert account([high, low], [start(2, 101.0), start(1, 102.0)]).out_of_order([high, low]) == 0


def test_latency_counts_from_the_planned_moment_to_the_end_of_the_last_attempt():
    one = request(1, planned_at=100.0)
    one.attempts = [Attempt(100.2, 50.0, 503), Attempt(101.0, 250.0, 201, "t1")]
    assert latencies([one]) == {"p50": 1250.0, "p99": 1250.0, "max": 1250.0}


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_percentiles_of_one_to_a_hundred(percent, value):
    assert percentile(list(range(1, 101)), percent) == value
    assert percentile([], percent) is None


def test_attempts_on_their_way_at_the_same_moment():
    one = request(1)
    one.attempts = [Attempt(100.0, 1000.0, 503), Attempt(101.5, 100.0, 503)]
    other = request(2)
    other.attempts = [Attempt(100.5, 100.0, 503)]
    assert account([one, other], []).most_at_once == 2


def test_a_log_that_lost_its_beginning_is_incomplete():
    first = {service: f"{service} begins" for service in SERVICES}
    lines = [{"ts": 1.0, "service": service, "message": f"{service} begins"} for service in SERVICES]
    good = account([request(1, 201)], whole(1))
    assert incomplete(first, lines, good) == []
    assert "nginx-loadbalancer" in incomplete(first, lines[1:], good)[0]


def test_a_success_without_any_line_means_that_a_log_is_incomplete():
    assert "1 tasks are SUCCESS" in incomplete({}, [], account([request(1, 201)], []))[0]


def test_only_the_requests_with_a_label():
    found = account([request(1, 201, label="a"), request(2, 201, label="b")], whole(1), {"t1": "SUCCESS", "t2": None})
    assert (len(found.lost), len(found.only("a").lost), len(found.only("b").lost)) == (1, 0, 1)
