"""What is said of a trail and of a message: the presenters' words, for every kind of run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from clew import ladder
from clew.core.paths import ROOT
from clew.evidence.trace import Hop
from clew.show import message as messages
from clew.show.trail import present, title_of

KEPT = ["kept"] * 5
STAGE_3 = ["kept", "kept", "kept", "missing", "missing"]


@pytest.fixture(autouse=True)
def usual_ports(monkeypatch):
    for name in ("CLEW_PORTS", "PORT"):
        monkeypatch.delenv(name, raising=False)


def test_a_trail_that_ends(run_of):
    trail = present(run_of("11100", STAGE_3))

    assert trail.title == "stage 3 · fixes 1–3 · sent X-Request-ID: MY-TRACE-123"
    assert trail.start == "Stage 3: the client sends X-Request-ID: MY-TRACE-123."
    assert (
        trail.verdicts == "Stage 3: nginx kept, routes kept, task-service kept, queue-service missing, worker missing."
    )
    assert [hop.bead for hop in trail.hops] == ["●", "●", "●", "○", "○"]
    assert [hop.id for hop in trail.hops] == ["MY-TRACE-123"] * 3 + ["–"] * 2
    assert [hop.time for hop in trail.hops] == ["≈1 ms", "3.1 ms", "3.3 ms", "3.6 ms", "9.8 ms"]
    assert trail.hops[1].sentence == "● routes in fastapi-server-2, after 3.1 ms: kept, passes on MY-TRACE-123."
    assert trail.hops[4].sentence == "○ worker in celery-worker-1, after 9.8 ms: missing, logs no ID."
    assert trail.result == "Task 64cecbac-6e28-4001-b1a7-000000000000: SUCCESS, VaR $1,234.50 in 75 ms"
    assert trail.answer == "The client had its answer, 201, after 4.7 ms."
    assert trail.notes == ()
    assert trail.next == "make stage-4 diff"


def test_the_end_is_named_with_file_and_line(run_of):
    trail = present(run_of("11100", STAGE_3))

    path, _, line = trail.place.partition(":")
    assert path == "stages/03-task-service/fastapi-app/services/queue_service.py"
    assert "**_" in (ROOT / path).read_text().splitlines()[int(line) - 1]
    assert trail.ends == "The trail ends in queue-service"
    assert trail.ending == f"The trail ends in queue-service: {trail.place}"


@pytest.mark.parametrize(
    ("mix", "title"), [("11000", "fixes 1–2"), ("00000", "no fix"), ("11?00", "edited"), ("10100", "edited")]
)
def test_a_trail_on_the_working_copy_says_so_and_what_comes_next(run_of, monkeypatch, mix, title):
    run = replace(run_of("11100", STAGE_3), stage=None, mix=mix, folder="try/stage-230")
    assert title_of(run) == f"working copy · {title}"
    assert present(run).start == "The working copy: the client sends X-Request-ID: MY-TRACE-123."
    assert present(run).next == "make check-try"
    monkeypatch.setenv("CLEW_PORTS", "230")
    assert present(run).next == "make check-try CLEW_PORTS=230"


def test_a_whole_trail_has_no_end(run_of):
    trail = present(run_of("11111", KEPT))

    assert trail.ending == "The trail reaches the worker: one ID, five layers."
    assert trail.place == ""
    assert trail.next == "make stage-5 logs ID=MY-TRACE-123"


@pytest.mark.parametrize(
    ("mix", "title"),
    [
        ("00000", "stage 0 · no fix"),
        ("10000", "stage 1 · fix 1"),
        ("11000", "stage 2 · fixes 1–2"),
        ("01010", "mix 01010"),
        ("11?00", "mix 11?00"),
    ],
)
def test_titles(run_of, mix, title):
    assert title_of(run_of(mix, KEPT)) == title


def test_a_replaced_id_is_shown(run_of):
    trail = present(run_of("00000", ["replaced", *["missing"] * 4]))

    assert (trail.hops[0].bead, trail.hops[0].id) == ("◆", "0f" * 16)
    assert trail.ends == "The trail ends in nginx"


def test_a_mix_is_blamed_in_the_version_that_ran(run_of):
    trail = present(run_of("10111", ["kept", *["missing"] * 4]))

    assert trail.name == "Mix 10111"
    assert trail.place.startswith("stages/00-as-found/fastapi-app/api/routes.py:")
    assert trail.next is None


def test_lines_that_could_be_anyones_are_not_blamed_on_a_layer(run_of):
    trail = present(run_of("11100", ["kept", "unknown", "unknown", "missing", "missing"]))

    assert trail.hops[1].bead == "?"
    assert (trail.hops[1].id, trail.hops[1].time, trail.hops[1].where) == ("–", "?", "one of 2 lines")
    assert trail.hops[1].sentence == "? routes: 2 log lines could be this request's; unknown."
    assert trail.ending == (
        "Where the trail ends is unknown: from routes on, the logs do not show which lines are this request's."
    )
    assert trail.notes == (
        "1 or more other requests ran at the same time: a line without an ID could be anyone's.",
        "Nothing in the logs can tell. That is what a correlation ID is for.",
    )


def test_lines_that_all_lack_the_id_still_name_the_layer(run_of):
    run = run_of("10000", ["kept", *["missing"] * 4])
    run.hops[1] = Hop("routes", "missing", candidates=4)
    trail = present(run)

    assert trail.ends == "The trail ends in routes"
    assert trail.notes[0].startswith("3 or more other requests ran at the same time")


def test_an_id_that_is_not_allowed_does_not_end_the_trail(run_of):
    run = run_of("11111", ["replaced"] * 5, sent_id="not usable", answered_id="0f" * 16)
    trail = present(run)

    assert trail.ending == f"This ID is not allowed, so nginx replaced it with {'0f' * 16}."
    assert trail.notes == ("Allowed are 1 to 128 letters, digits, dots, dashes and underscores.",)
    assert trail.next == f"make stage-5 logs ID={'0f' * 16}"


def test_an_edited_layer_is_named(run_of):
    fixed = present(run_of("11110", ["kept"] * 4 + ["missing"], stage=3, folder="stages/03-task-service"))
    other = present(run_of("111?0", STAGE_3, stage=3, folder="stages/03-task-service"))

    assert fixed.title.startswith("stage 3 · edited · sent")
    assert fixed.notes == ("queue-service was edited: its file is the fixed version.",)
    assert other.notes == ("queue-service was edited: its file is neither of its two versions.",)
    assert fixed.next == other.next == "make stage-3 check"


def test_an_edited_layer_of_a_mix_is_named(run_of):
    trail = present(run_of("11?00", ["kept", "kept", "kept", "missing", "missing"], stage=None, folder="stages/try"))

    assert trail.name == "Mix 11?00"
    assert trail.notes == ("task-service was edited: its file is neither of its two versions.",)
    assert trail.next is None


def test_a_failed_task_says_why(run_of):
    trail = present(run_of("11111", KEPT, status="FAILURE", result=None, error="price is not a number"))

    assert trail.result.endswith(": FAILURE, price is not a number in 75 ms")
    nothing = present(run_of("11111", KEPT, status="FAILURE", result=None, error=None, lines=[]))
    assert nothing.result.endswith(": FAILURE, no reason given")


@pytest.mark.parametrize(
    ("result", "task_type", "words"),
    [
        ({"price": 10.45058}, "price_option", "price 10.4506"),
        ({"weights": {"AAPL": 0.5, "MSFT": 0.5}}, "optimize_portfolio", "2 weights"),
        ({"scenarios": []}, "stress_test", "stress test"),
        (["no", "object"], "stress_test", "stress test"),
    ],
)
def test_every_kind_of_result_has_words(run_of, result, task_type, words):
    assert f"SUCCESS, {words} in" in present(run_of("11111", KEPT, result=result, task_type=task_type)).result


def test_control_characters_never_pass(run_of):
    evil = "\x1b]2;gone\x07\nstage"
    run = run_of("11111", KEPT, sent_id=evil, answered_id=evil, task_id=evil, status="FAILURE", error=evil)
    run.hops = [replace(hop, service=evil) for hop in run.hops]

    words = json.dumps(present(run).to_json(), ensure_ascii=False)
    assert "\x1b" not in words
    assert "\\\\x1b]2;gone\\\\x07\\\\nstage" in words


def test_the_words_are_plain_data(run_of):
    data = json.loads(json.dumps(present(run_of("11100", STAGE_3)).to_json()))

    assert data["ending"] == f"{data['ends']}: {data['place']}"
    assert [hop["hop"] for hop in data["hops"]] == list(ladder.HOPS)


def a_message(correlation_id: str | None, sent_id: str = "MINE") -> dict:
    kwargs = {"portfolio_data": {}} if correlation_id is None else {"correlation_id": correlation_id}
    return {
        "queue": "high",
        "task_id": "task-1",
        "sent_id": sent_id,
        "kwargs": kwargs,
        "headers": {"id": "task-1", "origin": "gen1@host", "eta": None, "stamps": {}},
        "properties": {"correlation_id": "task-1"},
        "args": [],
        "embed": {},
        "id_at": "kwargs.correlation_id" if correlation_id == sent_id else None,
    }


@pytest.mark.parametrize(
    ("correlation_id", "verdict", "place", "step"),
    [
        ("MINE", "kept", "The ID is in the message, at kwargs.correlation_id.", "with the ID at kwargs.correlation_id"),
        (
            "OTHER",
            "replaced",
            "The ID is not in the message; kwargs.correlation_id has another one, OTHER.",
            "without the client's ID",
        ),
        (
            None,
            "missing",
            "The ID is not in the message; it would be at kwargs.correlation_id.",
            "without the client's",
        ),
    ],
)
def test_where_the_id_is_in_a_message(correlation_id, verdict, place, step):
    message = a_message(correlation_id)

    assert messages.verdict(message) == verdict
    assert messages.id_place(message) == place
    assert messages.in_redis(message).startswith(f"The message is in Redis, in the queue “high”, {step}")


def test_of_a_message_only_what_says_something_is_shown():
    assert messages.shown(a_message("MINE"), "headers") == {"id": "task-1"}


def test_a_lost_id_is_never_called_a_whole_trail(run_of):
    run = run_of("11100", STAGE_3)
    run.ends_in = None

    assert present(run).ending == "The trail ends in queue-service."
