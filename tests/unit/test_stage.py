"""What a notebook calls, without a stack: over recordings, and over a live stage that a fake stands in for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import clew
from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence.client import Answer
from clew.evidence.trace import Run
from clew.lab import live, recordings
from clew.lab.backend import CannotStart, progress, replay_wanted
from clew.lab.live import LiveStage
from clew.lab.receivers import LiveRollout, ReceiversFirst
from clew.lab.stage import Stage
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.lifecycle import Started
from clew.stacks.stack import stage_stack

SENT = "MY-TRACE-123"
REPLAYED = "Replay of a run recorded on "


class FakeLive:
    """A live stage without services: it notes what it is asked, and its answers are of a recorded run."""

    note = None

    def __init__(self, number: int = 5) -> None:
        entry = recordings.load("stages")["runs"][number]
        self.run, self.raw_message = recordings.run_of(entry), entry["message"]
        self.asked: list[tuple[Any, ...]] = []
        self.answer = Answer(SENT, self.run.sent_at, 3.0, 201, SENT, {"task_id": self.run.task_id, "status": "PENDING"})
        self.refuses: ClewError | None = None

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.refuses:
            raise self.refuses

    def up(self) -> str:
        self._note("up")
        return "Stage 5 is up."

    def down(self) -> None:
        self._note("down")

    def submit(self, correlation_id: str, data: Any) -> Answer:
        self._note("submit", correlation_id, data)
        return self.answer

    def lines(self, since: Answer | None) -> list[Line]:
        self._note("lines", since)
        return self.run.lines

    def trace(self, correlation_id: str, data: Any) -> Run:
        self._note("trace", correlation_id, data)
        return self.run

    def once(self, correlation_id: str) -> Run:
        self._note("once", correlation_id)
        return self.run

    def message(self, correlation_id: str) -> dict[str, Any]:
        self._note("message", correlation_id)
        return dict(self.raw_message)

    @contextmanager
    def nobody_consuming(self) -> Iterator[None]:
        self._note("stop consuming")
        yield
        self._note("consume")

    def ask(self, method: str, task_id: str) -> dict[str, Any]:
        self._note("ask", method, task_id)
        body = {"task_id": task_id, "status": "SUCCESS", "result": {"var_amount": 1202.149}, "error": None}
        return {"method": method, "task_id": task_id, "status_code": 200, "body": body}


@pytest.fixture
def fake() -> FakeLive:
    return FakeLive()


@pytest.fixture
def running(fake: FakeLive, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.delenv("CLEW_REPLAY", raising=False)
    return Stage(5, backend=fake)


# --- a live stage -----------------------------------------------------------------------------------------------------


def test_up_and_down_say_what_they_did(running: Stage, fake: FakeLive) -> None:
    assert repr(running.up()) == "● Stage 5 is up."
    assert repr(running.down()) == "Stage 5 is as it was before this notebook."
    assert fake.asked == [("up",), ("down",)]


def test_send_passes_the_id_and_the_data_on_and_shows_the_run(running: Stage, fake: FakeLive) -> None:
    run = running.send("MINE", {"positions": []})
    assert fake.asked == [("trace", "MINE", {"positions": []})]
    assert (run.run, run.task_id, run.note) == (fake.run, fake.run.task_id, None)
    assert run.facts()["verdicts"] == ["kept"] * 5
    assert running.send().run is fake.run
    assert fake.asked[-1] == ("trace", SENT, None)


def test_submit_shows_the_answer(running: Stage, fake: FakeLive) -> None:
    sent = running.submit("MINE", {"positions": []})
    assert fake.asked == [("submit", "MINE", {"positions": []})]
    assert sent.task_id == fake.run.task_id
    assert repr(sent).startswith(f"HTTP 201\nX-Request-ID: {SENT}\n\n")
    assert fake.run.task_id in repr(sent)


def test_look_searches_one_log_and_counts(running: Stage, fake: FakeLive, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ClewError, match="Nothing was sent yet"):
        running.look("flower")
    running.submit()
    running.look("nginx-loadbalancer")
    running.look("flower")
    with pytest.raises(ClewError, match="no service 'ngnix'"):
        running.look("ngnix")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "look-up 1 · nginx-loadbalancer · 1 line"
    assert f"correlation_id={SENT}" in shown[1]
    assert shown[2:] == ["look-up 2 · flower             · 0 lines"]
    assert fake.asked[1:] == [("lines", fake.answer)] * 2
    running.submit()
    running.look("flower")
    assert capsys.readouterr().out.startswith("look-up 1 ")


def test_find_searches_all_logs_from_the_last_request_on(running: Stage, fake: FakeLive) -> None:
    assert running.find("NOBODY").lines == []
    running.submit()
    found = running.find()
    assert {line["service"].partition("-")[0] for line in found.lines} == {"nginx", "fastapi", "celery"}
    assert fake.asked == [("lines", None), ("submit", SENT, None), ("lines", fake.answer)]


def test_once_message_source_and_fix(running: Stage, fake: FakeLive) -> None:
    after = running.once()
    message = running.message("MINE")
    assert fake.asked == [("once", SENT), ("message", "MINE")]
    assert message.message["kwargs"]["correlation_id"] == SENT
    assert "correlation_id" in repr(running.source("worker"))
    before = Stage(4, backend=FakeLive(4)).once()
    shown = repr(running.fix(before, after))
    assert "+++ 05-worker/celery-worker/tasks.py" in shown
    assert shown.count(SENT) > 3


def test_status_cancel_and_a_pause_of_the_workers(running: Stage, fake: FakeLive) -> None:
    with running.nobody_consuming():
        assert repr(running.status("abc")).startswith("GET /api/v1/tasks/abc\nHTTP 200 · ")
    told = repr(running.cancel("abc"))
    assert told.startswith("DELETE /api/v1/tasks/abc\nHTTP 200 · ")
    assert told.endswith("status: SUCCESS, VaR: $1,202.15")
    assert fake.asked == [("stop consuming",), ("ask", "GET", "abc"), ("consume",), ("ask", "DELETE", "abc")]


@pytest.mark.parametrize("question", ["up", "once"])
def test_what_cannot_be_started_is_replayed(running: Stage, fake: FakeLive, question: str) -> None:
    fake.refuses = CannotStart("nginx is not installed.", "apt install nginx")
    told = repr(getattr(running, question)())
    assert REPLAYED in told
    if question == "up":
        assert "○ Stage 5 cannot be started: nginx is not installed." in told
        assert "To run it: apt install nginx" in told
    assert running.send().note
    assert len(fake.asked) == 1
    running.submit()
    fake.refuses = None
    assert repr(running.up()) == "● Stage 5 is up.", "the same cell again, after what was missing is installed"
    with pytest.raises(ClewError, match="Nothing was sent yet"):
        running.look("flower")


@pytest.mark.parametrize("question", ["up", "once"])
def test_a_stack_that_is_up_and_not_ready_is_never_replayed(running: Stage, fake: FakeLive, question: str) -> None:
    fake.refuses = ClewError("Stage 5 is up, but not ready: flower.", "make stage-5 up")
    with pytest.raises(ClewError, match="not ready: flower"):
        getattr(running, question)()
    assert running.backend is fake


@pytest.mark.parametrize("question", ["up", "once"])
def test_nothing_is_replayed_where_that_is_forbidden(
    fake: FakeLive, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.refuses = CannotStart("nginx is not installed.", "apt install nginx")
    monkeypatch.setenv("CLEW_REPLAY", "0")
    for stage in (Stage(5, backend=fake), Stage(5, replay=False, backend=fake)):
        with pytest.raises(ClewError, match="nginx is not installed"):
            getattr(stage, question)()
        monkeypatch.setenv("CLEW_REPLAY", "1")  # the second stage was told so itself


# --- LiveStage, with the stack behind it faked ------------------------------------------------------------------------


class FakeDriver:
    def __init__(self, **states: str) -> None:
        self.states = states

    def status(self) -> dict[str, str]:
        return {service: self.states.get(service, "running") for service in clew.SERVICES}


@pytest.fixture
def stack_1(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make stage 1 a stack that is down; return what was done to it."""
    done: list[str] = []
    up = False

    def start(*_: object) -> Started:
        nonlocal up
        was_down, up = not up, True
        done.append("up")
        return Started(LocalDriver(stage_stack(1)), 1.0, was_down)

    def stop(*_: object) -> None:
        nonlocal up
        up = False
        done.append("down")

    monkeypatch.setattr(live.lifecycle, "start", start)
    monkeypatch.setattr(live.lifecycle, "down", stop)
    monkeypatch.setattr(live.client, "warm_up", lambda stack: done.append("warm up"))
    monkeypatch.setattr(live, "running_driver", lambda stack: FakeDriver() if up else None)
    monkeypatch.setattr(live.ready, "not_ready", lambda stack: [])
    return done


def test_what_is_started_here_is_ended_here(stack_1: list[str]) -> None:
    stage = LiveStage(stage_stack(1))
    assert "They keep running until stage.down()" in stage.up()
    assert "They keep running until stage.down()" in stage.up()
    stage.down()
    stage.down()
    assert stack_1 == ["up", "warm up", "down"]


def test_a_stack_that_was_up_stays_up(stack_1: list[str]) -> None:
    LiveStage(stage_stack(1)).up()
    other = LiveStage(stage_stack(1))
    assert "keep running" not in other.up()
    other.down()
    assert stack_1 == ["up", "warm up"]


def test_once_leaves_the_stack_as_it_was(stack_1: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        stack_1.append("trace")
        raise ClewError("No log lines.", "make stage-1 status")

    monkeypatch.setattr(live.trace, "trace", fails)
    stage = LiveStage(stage_stack(1))
    with pytest.raises(ClewError, match="No log lines") as told:
        stage.once(SENT)
    assert not isinstance(told.value, CannotStart)
    assert stack_1 == ["up", "warm up", "trace", "down"]
    stage.up()
    with pytest.raises(ClewError, match="No log lines"):
        stage.once(SENT)
    assert stack_1[4:] == ["up", "warm up", "trace"]


def test_a_dead_service_is_named(stack_1: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "running_driver", lambda stack: FakeDriver(flower="stopped"))
    monkeypatch.setattr(live.ready, "not_ready", lambda stack: ["celery-worker-2"])
    with pytest.raises(ClewError, match=r"not ready: celery-worker-2, flower\.") as told:
        LiveStage(stage_stack(1)).up()
    assert not isinstance(told.value, CannotStart)
    assert stack_1 == []


def test_only_a_failed_start_may_be_replayed(stack_1: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ClewError("Port 8010 is in use.", "make stage-1 up PORT=8888")

    monkeypatch.setattr(live.client, "warm_up", fails)
    with pytest.raises(ClewError, match="Port 8010") as told:
        LiveStage(stage_stack(1)).up()
    assert not isinstance(told.value, CannotStart)
    stack_1.clear()
    live.lifecycle.down(stage_stack(1))
    monkeypatch.setattr(live.lifecycle, "start", fails)
    with pytest.raises(CannotStart, match="Port 8010") as told:
        LiveStage(stage_stack(1)).up()
    assert told.value.next_step == "make stage-1 up PORT=8888"


def test_an_interrupted_warm_up_takes_the_stack_down(stack_1: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live.client, "warm_up", interrupted)
    with pytest.raises(ClewError, match="Stage 1 is down again"):
        LiveStage(stage_stack(1)).up()
    assert stack_1 == ["up", "down"]


def test_nothing_is_asked_of_a_stage_that_is_down(stack_1: list[str]) -> None:
    stage = LiveStage(stage_stack(1))
    for question in (
        lambda: stage.submit(SENT, None),
        lambda: stage.trace(SENT, None),
        lambda: stage.message(SENT),
        lambda: stage.ask("GET", "abc"),
        stage.nobody_consuming,
    ):
        with pytest.raises(ClewError, match="not up") as told:
            question()
        assert told.value.next_step == "stage.up()"


def test_the_lines_of_a_request_are_complete(stack_1: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = FakeLive().run
    answer = Answer(SENT, run.sent_at, 3.0, 201, SENT, {"task_id": run.task_id})
    reads = [run.lines[:2], [line for line in run.lines if "duration_ms" not in line], run.lines]
    asked: list[object] = []
    monkeypatch.setattr(live, "driver_of", lambda stack: FakeDriver())
    monkeypatch.setattr(live.client, "result", lambda stack, task_id: asked.append(task_id))
    monkeypatch.setattr(live.logs, "read", lambda driver, since=None: reads.pop(0))
    assert LiveStage(stage_stack(1)).lines(answer) == run.lines
    assert (asked, reads) == ([run.task_id], [])


# --- a replayed stage -------------------------------------------------------------------------------------------------


def test_every_question_is_answered_from_the_recording(capsys: pytest.CaptureFixture[str]) -> None:
    stage = clew.replay(3)
    assert "not started" in repr(stage.up())
    sent = stage.submit()
    for service in clew.SERVICES:
        stage.look(service)
    run = stage.send()
    assert sent.task_id == run.task_id
    assert run.run.verdicts == ladder.stage(3).verdicts
    assert stage.once().run == run.run
    assert stage.find().lines
    assert stage.message().message["task_id"] != run.task_id
    with stage.nobody_consuming():
        pass
    assert REPLAYED in repr(stage.down())
    assert "look-up 9 · flower" in capsys.readouterr().out


def test_three_requests_with_one_id_are_three_tasks_and_a_fourth_is_cancelled() -> None:
    stage = clew.replay(5)
    recording = recordings.load("three-ids")
    runs = [stage.send("PORTFOLIO-42", entry["data"]) for entry in recording["runs"]]
    assert len({run.task_id for run in runs}) == 3
    assert "SUCCESS" in stage.status(runs[0].task_id).words
    assert "HTTP 404" in stage.status("PORTFOLIO-42").words
    waiting = stage.submit("PORTFOLIO-42", recording["runs"][0]["data"])
    assert "PENDING" in stage.status(waiting.task_id).words
    assert "HTTP 200" in stage.cancel(waiting.task_id).words
    for _ in range(3):  # the last answer is repeated
        assert "REVOKED" in stage.status(waiting.task_id).words
    assert "HTTP 409" in stage.cancel(runs[0].task_id).words
    with pytest.raises(ClewError, match="no GET of nobody"):
        stage.status("nobody")


def test_what_was_not_recorded_is_refused_with_the_stage_to_start() -> None:
    stage = clew.replay(3)
    for question in (lambda: stage.send("ANOTHER"), lambda: stage.submit(SENT, {}), lambda: stage.message("ANOTHER")):
        with pytest.raises(ClewError, match="The recording has no") as told:
            question()
        assert told.value.next_step.startswith("make stage-3 up")


@pytest.mark.parametrize(("value", "wanted"), [("", None), ("1", True), ("0", False)])
def test_clew_replay(value: str, wanted: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_REPLAY", value)
    assert replay_wanted() is wanted
    assert isinstance(Stage(1).backend, LiveStage) is not wanted


def test_clew_replay_that_is_neither_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_REPLAY", "yes")
    with pytest.raises(ClewError, match="CLEW_REPLAY is 'yes'; it must be 1, 0 or unset") as told:
        Stage(1)
    assert told.value.next_step == "unset CLEW_REPLAY"


def test_progress_is_cleared_in_a_cell_and_stays_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress() as say:
        say("Starting.")
    assert capsys.readouterr().out == "Starting.\n"
    cleared: list[bool] = []
    ipython = pytest.importorskip("IPython")
    monkeypatch.setattr(ipython, "get_ipython", object)
    monkeypatch.setattr(ipython.display, "clear_output", lambda wait: cleared.append(wait))
    with pytest.raises(ClewError), progress():
        raise ClewError("No.", "make doctor")
    assert cleared == [True]


# --- predictions, sources, the facade ---------------------------------------------------------------------------------


def test_a_prediction_is_compared_hop_by_hop(capsys: pytest.CaptureFixture[str]) -> None:
    prediction = clew.predict(nginx="Kept", routes="missing", task_service="?")
    assert capsys.readouterr().out == "Still open: task-service, queue-service, worker.\n"
    table = clew.replay(1).send().compared(prediction)
    assert [row[3] for row in table.rows] == ["as you said", "as you said", *["no prediction yet"] * 3]
    wrong = clew.replay(1).send().compared({"nginx": "replaced"})
    assert wrong.rows[0] == ["nginx", "replaced", "kept", "not as you said: look here"]
    clew.predict(**{hop.replace("-", "_"): "kept" for hop in ladder.HOPS})
    assert capsys.readouterr().out == "Noted. Now run it.\n"


def test_the_source_of_a_layer_is_that_of_the_stage() -> None:
    assert "proxy_set_header X-Request-ID $request_id" in repr(clew.replay(0).source("nginx"))
    assert "Fix: " in repr(clew.replay(1).source("nginx"))
    with pytest.raises(ClewError, match="no layer 'ngnix'"):
        clew.replay(0).source("ngnix")


def test_the_facade_has_what_notebooks_call_and_nothing_else() -> None:
    assert {
        name for name in ("Stage", "replay", "lattice", "predict", "ReceiversFirst", "check") if getattr(clew, name)
    }
    with pytest.raises(AttributeError, match="no attribute 'Stages'"):
        clew.Stages  # noqa: B018


def test_the_matrix_of_all_mixes_is_replayed() -> None:
    assert len(clew.lattice().runs) == 32
    assert REPLAYED in repr(clew.lattice())


# --- receivers first --------------------------------------------------------------------------------------------------


def test_the_experiment_is_replayed_where_it_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoPrograms(LiveRollout):
        installed = False

        def up(self, say: Any) -> str:
            if self.installed:
                return "Nine services are up."
            raise CannotStart("nginx is not installed.", "apt install nginx")

    monkeypatch.delenv("CLEW_REPLAY", raising=False)
    rollout = NoPrograms()
    experiment = ReceiversFirst(rollout)
    told = repr(experiment.up())
    assert "nginx is not installed" in told
    assert "apt install nginx" in told
    table = experiment.roll_out(ladder.HOPS, {"routes": "201, SUCCESS"})
    assert table.rows[2][:4] == ["○ + routes", "201, SUCCESS", "HTTP 500", "none was created"]
    assert REPLAYED in repr(table)
    with pytest.raises(ClewError, match="was not recorded"):
        experiment.roll_out(["nginx", "worker", "queue-service", "task-service", "routes"])
    with pytest.raises(ClewError, match="names each layer once"):
        experiment.roll_out(["nginx"])
    rollout.installed = True
    assert repr(experiment.up()) == "● Nine services are up."
    monkeypatch.setenv("CLEW_REPLAY", "0")
    with pytest.raises(CannotStart):
        ReceiversFirst(NoPrograms()).up()


def test_an_experiment_that_is_not_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_REPLAY", "0")
    experiment = ReceiversFirst()
    with pytest.raises(ClewError, match="not up") as told:
        experiment.roll_out(ladder.HOPS)
    assert told.value.next_step == "experiment.up()"
    with pytest.raises(ClewError, match="no layer 'ngnix'"):
        experiment.change("ngnix")
    assert "-" in repr(experiment.change("task-service"))
