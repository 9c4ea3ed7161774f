"""The leak lab: whose ID is on a line, where a run ran, and what the recorded trials show."""

from __future__ import annotations

import pytest

from clew.core.errors import ClewError
from clew.evidence.client import Answer
from clew.lab import recordings
from clew.lab.leaks import trial
from clew.lab.leaks.judge import ANOTHERS, API_HOPS, MISSING, OWN, astray, judged
from clew.lab.leaks.trial import REQUESTS, RETRIED_EVERY, WAYS, WORKERS, Trial, runs
from clew.show import leaks as shown

TOLD = {"t1": "LEAK-1", "t2": "LEAK-2"}


def line(task_id: str, at: float, **fields: object) -> dict[str, object]:
    return {"ts": at, "service": "celery-worker-1", "message": "VaR START", "task_id": task_id, **fields}


@pytest.mark.parametrize(
    ("logged", "verdict"),
    [("LEAK-1", OWN), ("LEAK-2", ANOTHERS), ("LEAK-11", ANOTHERS), (None, MISSING), ("", MISSING)],
)
def test_the_owner_is_who_was_told_the_task_id(logged: str | None, verdict: str) -> None:
    [found] = judged([line("t1", 1.0, correlation_id=logged)], TOLD)
    assert (found.owner, found.verdict) == ("LEAK-1", verdict)


def test_a_task_that_a_task_sent_has_the_same_owner_whatever_its_lines_say() -> None:
    lines = [line("t1", 1.0, next_task_id="t9"), line("t9", 2.0, correlation_id="LEAK-2")]
    [found] = judged(lines, TOLD)
    assert (found.owner, found.verdict) == ("LEAK-1", ANOTHERS)


def test_lines_of_strangers_and_without_the_field_are_not_judged() -> None:
    assert judged([line("t7", 1.0, correlation_id="LEAK-1"), line("t1", 1.0)], TOLD) == []


def test_before_the_queue_each_layer_logs_every_id_and_no_other() -> None:
    lines = [{"hop": hop, "correlation_id": sent} for hop in API_HOPS for sent in ("A", "B")]
    assert astray(lines, ["A", "B"]) == []
    twice = [*lines, {"hop": API_HOPS[1], "correlation_id": "A"}]
    assert astray(twice, ["A", "B"]) == [f"{API_HOPS[1]} logged A 2 times"]
    sent_again = [{**line, "upstream": "127.0.0.1:1, 127.0.0.1:2"} if line is lines[0] else line for line in twice]
    assert sent_again[0]["correlation_id"] == "A" and astray(sent_again, ["A", "B"]) == []
    swapped = [*lines[:-1], {"hop": API_HOPS[-1], "correlation_id": "A"}]
    assert astray(swapped, ["A", "B"]) == [f"{API_HOPS[-1]} never logged B", f"{API_HOPS[-1]} logged A 2 times"]
    strange = [*lines, {"hop": API_HOPS[0], "correlation_id": "AB"}]
    assert astray(strange, ["A", "B"]) == [f"{API_HOPS[0]} logged AB, which nobody sent"]


def test_a_run_knows_its_process_and_what_was_left_there() -> None:
    found = [
        line("t1", 1.0, process_id=7), line("t1", 1.1, correlation_id="LEAK-1"),
        line("t2", 2.0, process_id=7), line("t2", 2.1, correlation_id="LEAK-1"),
        line("t2", 3.0, process_id=8), line("t2", 3.1, correlation_id="LEAK-2"),
    ]  # fmt: skip
    first, second, third = runs(found, judged(found, TOLD), 1.0)
    assert (first.verdict, first.process, first.left_by) == (OWN, 7, None)
    assert (second.verdict, second.process, second.logged, second.left_by) == (ANOTHERS, 7, "LEAK-1", "VaR")
    assert (third.verdict, third.process, third.begin, third.end) == (OWN, 8, 2.0, 2.1)


def test_the_same_process_id_on_two_workers_is_two_processes() -> None:
    found = [
        line("t1", 1.0, process_id=7), line("t1", 1.5, correlation_id="LEAK-1"),
        {**line("t2", 1.2, process_id=7), "service": "celery-worker-2"},
        {**line("t2", 1.7, correlation_id="LEAK-1"), "service": "celery-worker-2"},
    ]  # fmt: skip
    first, second = ran = runs(found, judged(found, TOLD), 1.0)
    assert (first.end, second.worker, second.left_by) == (0.5, "celery-worker-2", None)
    assert Trial("by-hand", 2, {}, ran, 0, 2).processes == 2


def test_a_task_that_ran_twice_does_not_hide_the_end_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line(f"t{n}", 1.0 + n / 100, correlation_id=f"LEAK-{n:02d}") for n in range(1, REQUESTS + 1)]
    for number, one in enumerate(list(lines), 1):
        names = ["VaR", "Report"] if number % RETRIED_EVERY else ["Rehearsal"]
        lines += [{**one, "message": f"{name} COMPLETE", "duration_ms": 1.0} for name in names * (1 + (number == 1))]
    sent = {f"LEAK-{n:02d}": Answer(f"LEAK-{n:02d}", 1.0, 1.0, 201, "", {"task_id": f"t{n}"}) for n in range(1, 51)}
    monkeypatch.setattr(trial.client, "send_task", lambda stack, sent_id, body: sent[sent_id])
    monkeypatch.setattr(trial.logs, "read", lambda driver, since: lines)
    monkeypatch.setattr(trial, "DEADLINE_SECONDS", 0)
    assert trial.trial("by-hand", None).lines[OWN] == len(lines)  # type: ignore[arg-type]
    del lines[-1]
    with pytest.raises(ClewError, match="the lines of all tasks"):
        trial.trial("by-hand", None)  # type: ignore[arg-type]


def test_the_recorded_trials_show_what_the_page_says() -> None:
    trials = [Trial.from_json(entry) for entry in recordings.load("leaks")["runs"]]
    by_hand, not_cleared, cleared = trials
    assert [trial.way for trial in trials] == list(WAYS)
    assert {path.stem for path in WORKERS.glob("*.py")} == set(WAYS)
    assert by_hand.clean and not not_cleared.clean and not cleared.clean
    assert not_cleared.lines[ANOTHERS] > 0 and set(cleared.lines) == {OWN, MISSING}
    assert all(trial.chained + trial.retried == trial.requests == REQUESTS for trial in trials)
    assert all(len(trial.ran) >= 2 * REQUESTS and 1 < trial.processes <= 12 for trial in trials)
    assert not_cleared.example is not None and not_cleared.example.left_by == "VaR"


def test_the_picture_marks_each_run_and_says_the_numbers() -> None:
    trial = Trial.from_json(recordings.load("leaks")["runs"][1])
    picture = str(shown.drawing(trial))
    wrong = sum(run.verdict == ANOTHERS for run in trial.ran)
    assert picture.count('class="cut"') == wrong > 0
    assert f"{trial.lines[ANOTHERS]} another&#39;s" in picture
