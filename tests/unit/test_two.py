"""Two requests at once: whose a line is, as far as the lines tell, and how that is said."""

from __future__ import annotations

from typing import Any

import pytest

from clew.core.errors import ClewError
from clew.evidence.client import Answer
from clew.evidence.two import BY_ID, BY_TASK, IDS, Two, candidates, overlap, owned, two
from clew.lab import recordings, stage
from clew.show import two as shown
from clew.stacks.stack import stage_stack

ANN, BEN = IDS


def line(service: str = "fastapi-server-1", **fields: Any) -> dict[str, Any]:
    return {"ts": 1.0, "service": service, "message": "Handing on", **fields}


def whose(*lines: dict[str, Any]) -> list[tuple[int | None, str | None]]:
    return [(one.owner, one.by) for one in owned(lines, IDS)]


@pytest.mark.parametrize("name", ["correlation_id", "request_id"])
def test_a_line_with_one_of_the_ids_is_that_persons(name: str) -> None:
    assert whose(line(**{name: ANN}), line(**{name: BEN})) == [(0, BY_ID), (1, BY_ID)]


@pytest.mark.parametrize("logged", [None, "", "3c88611f9794", ANN + "0", "X" + BEN, ANN.lower()])
def test_without_the_whole_id_a_line_is_nobodys(logged: str | None) -> None:
    assert whose(line(correlation_id=logged)) == [(None, None)]


def test_a_line_with_both_ids_is_nobodys() -> None:
    assert whose(line(correlation_id=ANN, request_id=BEN)) == [(None, None)]


def test_a_task_id_tells_where_another_line_has_it_together_with_the_id() -> None:
    worker = line("celery-worker-1", correlation_id=None, task_id="t1")
    assert whose(worker) == [(None, None)]
    assert whose(worker, line(correlation_id=ANN, task_id="t1")) == [(0, BY_TASK), (0, BY_ID)]


def test_a_task_id_that_was_seen_with_both_ids_tells_nothing() -> None:
    tied = [line(correlation_id=ANN, task_id="t1"), line(correlation_id=BEN, task_id="t1")]
    assert whose(*tied, line("celery-worker-1", correlation_id=None, task_id="t1"))[2] == (None, None)


def test_only_lines_about_a_post_and_of_the_two_tasks_could_be_theirs() -> None:
    theirs = [
        line("nginx-loadbalancer", correlation_id="x", method="POST"),
        line(request_id="x", method="POST"),
        line(correlation_id=None),
        line("celery-worker-2", correlation_id=None, task_id="t2"),
    ]
    others = [
        line(request_id="x", method="GET"),
        line("celery-worker-2", correlation_id=ANN, task_id="t3"),
        line("celery-worker-1", task_id="t1"),
        line("redis-broker"),
        line("flower", correlation_id=None),
    ]
    assert candidates([*theirs, *others], ["t1", "t2"]) == [
        {name: value for name, value in one.items() if name != "method"} for one in theirs
    ]


@pytest.mark.parametrize(
    ("second_sent_at", "crossing"),
    [(10.0, True), (10.0999, True), (10.1, False), (11.0, False), (9.95, True), (9.0, False)],
)
def test_requests_cross_if_each_was_sent_before_the_other_was_answered(second_sent_at: float, crossing: bool) -> None:
    first, second = (Answer("x", sent_at, 100.0, 201, "x", {}) for sent_at in (10.0, second_sent_at))
    assert overlap(first, second) is overlap(second, first) is crossing


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(ClewError, match="two different IDs"):
        two(stage_stack(5), ["A", "A"])


@pytest.fixture(scope="module")
def recorded() -> list[Two]:
    return [Two.from_json(entry) for entry in recordings.load("two")["runs"]]


def test_each_fix_tells_more_lines_apart(recorded: list[Two]) -> None:
    counts = [found.told_apart for found in recorded]
    assert counts[0] == 0 and counts == sorted(counts)
    assert len(set(counts[:5])) == 5
    by_task = [sum(one.by == BY_TASK for one in found.lines) for found in recorded]
    assert by_task[4] > 0 and by_task[5] == 0 and counts[5] == len(recorded[5].lines)


def test_what_was_recorded_follows_from_its_own_lines(recorded: list[Two]) -> None:
    for found in recorded:
        assert owned([one.line for one in found.lines], found.sent_ids) == found.lines
        assert Two.from_json(found.to_json()) == found


def test_the_times_that_are_shown_never_go_back(recorded: list[Two]) -> None:
    for found in recorded:
        times = [float(row.time.removesuffix(" ms")) for row in shown.rows(found)]
        assert times == sorted(times)


def test_the_words_say_why_while_a_line_is_nobodys(recorded: list[Two]) -> None:
    texts = [repr(shown.TwoAtOnce(found)) for found in recorded]
    assert all((shown.WHY[0] in text) == (number < 4) for number, text in enumerate(texts))
    assert "None of the" in texts[0] and "only by way of another line" in texts[4] and "two threads" in texts[5]
    assert "Ann's or Ben's?" in texts[3] and "Ann's or Ben's?" not in texts[5]


def test_what_a_service_wrote_cannot_become_markup(recorded: list[Two]) -> None:
    found = Two.from_json(recorded[0].to_json())
    found.lines[0].line["message"] = "<script>\x1b[31m"
    html = shown.TwoAtOnce(found)._repr_html_()
    assert "<script>" not in html and "\x1b" not in html


def test_a_notebook_replays_it() -> None:
    display = stage.replay(3).two()
    assert display.facts()["told_apart"] == 12 and display.note is not None
