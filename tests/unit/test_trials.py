"""What notebooks 8 and 9 try, without a stack: over the recording, a bench that a fake stands in for, and plots."""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from clew.core.errors import ClewError
from clew.lab import bench, busy, busy_trials, promise, promise_trials, record, recordings
from clew.lab.backend import CannotStart
from clew.lab.bench import ReplayedBench, recorded
from clew.show import plot
from clew.show.plot import Segment

RECORDING = recordings.load("trials")
ENTRIES = {(entry["trial"], entry["settings"]): entry for entry in RECORDING["runs"]}


def seen(trial: str, settings: str = "durable") -> Any:
    return copy.deepcopy(ENTRIES[trial, settings]["seen"])


def failed(display: Any) -> list[str]:
    return [check["what"] for check in display.facts()["checks"] if check["ok"] is not True]


def test_everything_that_is_tried_was_recorded_and_shows_what_the_notebooks_say() -> None:
    durable = [trial.__name__ for trial in (*busy_trials.TRIALS, *promise_trials.TRIALS["durable"])]
    stock = [trial.__name__ for trial in promise_trials.TRIALS["stock"]]
    assert set(ENTRIES) == {
        *((name, "durable") for name in [*durable, "power_cut"]),
        *((name, "stock") for name in stock),
    }
    for entry in RECORDING["runs"]:
        assert record.checked(entry) == entry


def test_what_does_not_show_it_is_not_recorded() -> None:
    entry = {"trial": "power_cut", "settings": "durable", "seen": {**seen("power_cut"), "verdict": "broken"}}
    with pytest.raises(
        ClewError, match=r"power_cut, durable settings: verdict of the drill power-cut: broken, expected"
    ):
        record.checked(entry)


SPOILED = [
    ("burst", lambda found: found["requests"][0].__setitem__(2, 503), "answers with 201"),
    ("burst", lambda found: found["runs"].pop(), "runs"),
    ("burst", lambda found: [run.__setitem__(0, "one") for run in found["runs"]], "workers that took tasks"),
    ("burst", lambda found: [depth.__setitem__(1, 1) for depth in found["depths"]], "tasks waiting at once"),
    ("urgent", lambda found: found["tasks"].pop(), "finished tasks"),
    ("urgent", lambda found: high(found).__setitem__(2, 999.0), "high tasks that started after the last low one"),
    ("breaker", lambda found: found["groups"][1].update(accepted=2), "accepted in each group"),
    ("breaker", lambda found: found["transitions"].pop(), "states"),
    ("breaker", lambda found: found["refusals"][0].update(status=500), "refusals"),
    ("breaker", lambda found: found["refusals"][0].update(retry_after=None), "refusals without Retry-After"),
    ("kill", lambda found: cut(found).update(ends=[]), "cut off, and finished in the end"),
    ("kill", lambda found: other(found)["starts"].append([9.0, "celery-worker-2"]), "other tasks, run more than once"),
    ("twice", lambda found: found.update(effects=["applied"]), "bookings"),
    ("power_cut", lambda found: found["settings"]["always"].update(lost=1), "lost with always"),
    ("power_cut", lambda found: found["settings"]["no"].update(lost=0), "some lost with no"),
]  # fmt: skip


def high(found: Any) -> Any:
    return next(task for task in found["tasks"] if task[0] == "high")


def cut(found: Any) -> Any:
    return next(task for task in found["tasks"] if task["task_id"] in found["cut"])


def other(found: Any) -> Any:
    return next(task for task in found["tasks"] if task["task_id"] not in found["cut"])


@pytest.mark.parametrize(("trial", "spoil", "what"), SPOILED, ids=[f"{name}: {what}" for name, _, what in SPOILED])
def test_each_check_fails_when_it_should(trial: str, spoil: Any, what: str) -> None:
    found = seen(trial)
    spoil(found)
    assert what in failed(record.SHOWS[trial](found, "durable"))


def test_a_lost_task_that_is_finished_with_stock_settings_is_a_contradiction() -> None:
    found = seen("kill", "stock")
    cut(found)["ends"] = [9.0]
    assert failed(promise.Killed(found, "stock")) == ["cut off, and finished in the end"]


def test_a_prediction_is_shown_next_to_what_it_was_and_must_name_something() -> None:
    shown = busy.burst(seen("burst"), {"slowest answer": "9 s"})
    assert re.search(r"slowest answer +9 s +\d+ ms", shown.text())
    with pytest.raises(ClewError, match="Nothing here is called 'fastest answer'"):
        busy.burst(seen("burst"), {"fastest answer": "1 ms"})
    with pytest.raises(ClewError, match="no setting 'sometimes'"):
        promise.power_cut(seen("power_cut"), {"sometimes": 3})


def test_pictures_are_well_formed_and_have_what_was_seen() -> None:
    burst, killed = busy.burst(seen("burst")), promise.Killed(seen("kill"), "durable")
    for shown in (burst, busy.urgent(seen("urgent")), busy.Breaker(seen("breaker")), killed):
        ElementTree.fromstring(str(shown.picture))  # noqa: S314 - our own
    assert burst.picture.count('class="run"') == len(seen("burst")["runs"])
    assert burst.picture.count('class="dot"') == len(seen("burst")["requests"])
    assert killed.picture.count('class="cut"') == killed.picture.count('class="cross"') == len(seen("kill")["cut"])


def test_hostile_words_are_escaped_in_a_plot() -> None:
    evil = "<script>"
    panels = [
        plot.area(evil, [(0, 1)]),
        plot.rows(evil, [(evil, [[Segment(0, 1)]])]),
        plot.notes(evil, [(1, evil, True)]),
    ]
    assert evil not in plot.figure(2, panels, evil)


def test_places_are_in_proportion_and_inside_the_plot() -> None:
    axis = plot.Axis(10, 600)
    assert (axis(0), axis(5), axis(10)) == (plot.LEFT, (plot.LEFT + 600) / 2, 600)
    assert (axis(-1), axis(11)) == (plot.LEFT, 600)


def test_segments_that_overlap_are_in_rows_of_their_own() -> None:
    a, b, c = Segment(0, 2), Segment(1, 3), Segment(2, 4)
    assert plot.in_parallel([c, b, a]) == [[a, c], [b]]
    assert plot.in_parallel([]) == []


def test_only_changes_of_the_depth_are_kept_and_the_last_look() -> None:
    depths = [(10.0, 0), (10.1, 0), (10.2, 5), (10.3, 5), (10.4, 5)]
    scene: Any = SimpleNamespace(began=10.0, watch=SimpleNamespace(depths=depths))
    assert busy_trials.depths_of(scene) == [[0.0, 0.0], [0.2, 5.0], [0.4, 5.0]]


def test_a_trail_has_the_lines_of_its_request_alone() -> None:
    lines: list[Any] = [
        {"ts": 1.0, "service": "celery-worker-1", "message": "Rehearsal START", "correlation_id": "a-1", "pid": 7},
        {"ts": 2.0, "service": "celery-worker-1", "message": "Rehearsal START", "correlation_id": "a-11"},
    ]
    assert promise_trials.trail(lines, "a-1") == [
        {"ts": 1.0, "service": "celery-worker-1", "message": "Rehearsal START", "correlation_id": "a-1"}
    ]


def test_breaker_states_follow_each_other() -> None:
    found = {"transitions": [{"at": 1.0, "after": "open"}, {"at": 3.0, "after": "closed"}], "ended": 4.0}
    assert dict(busy.bands(found)) == {
        "closed": [Segment(0.0, 1.0, "closed"), Segment(3.0, 4.0, "closed")],
        "open": [Segment(1.0, 3.0, "open")],
        "half-open": [],
    }


class NoStack:
    """A bench whose stack cannot be started."""

    note = None
    settings = ""
    installed = False

    def up(self, settings: str, say: Any) -> str:
        if self.installed:
            return "Nine services are up."
        raise CannotStart("nginx is not there.", "sudo apt-get install nginx")


def test_what_cannot_be_started_is_replayed_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEW_REPLAY", raising=False)
    bench = NoStack()
    load: Any = busy.Busy(bench)  # type: ignore[arg-type]
    told = repr(load.up())
    assert "cannot be started: nginx is not there." in told
    assert "sudo apt-get install nginx" in told
    for shown in (load.burst(), load.urgent(), load.breaker(), load.down()):
        assert repr(shown).startswith("Replay of a run recorded on ")
    bench.installed = True
    assert repr(load.up()) == "● Nine services are up."
    monkeypatch.setenv("CLEW_REPLAY", "0")
    with pytest.raises(ClewError, match="nginx is not there"):
        busy.Busy(NoStack()).up()  # type: ignore[arg-type]


def test_settings_have_two_names_and_are_chosen_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_REPLAY", "1")
    kept: Any = promise.Promise()
    with pytest.raises(ClewError, match="No settings were chosen"):
        kept.kill()
    with pytest.raises(ClewError, match="no settings 'fast'"):
        kept.up("fast")
    kept.up("stock")
    stock = kept.kill()
    assert (stock.settings, stock.seen) == ("stock", seen("kill", "stock"))
    with pytest.raises(ClewError, match="twice was not recorded with stock settings"):
        kept.twice()
    kept.up("durable")
    both = stock | kept.kill()
    assert both.titles == ("stock", "durable")
    assert both.text().count("it was") == 2


def test_a_stack_that_is_not_up_is_told() -> None:
    with pytest.raises(ClewError, match="not up") as told:
        bench.LiveBench().see(busy_trials.burst)
    assert ".up()" in told.value.next_step


def test_what_was_not_recorded_is_told() -> None:
    with pytest.raises(ClewError, match="The trial breaker was not recorded with stock settings"):
        recorded(RECORDING, "breaker", "stock")
    assert ReplayedBench().note == recordings.note(RECORDING)


class Noted:
    """A scene that notes what is done to it."""

    def __init__(self, *_: Any) -> None:
        self.done: list[str] = []
        self.watch = SimpleNamespace(
            every=1.0, begin=lambda: self.done.append("watch"), end=lambda: self.done.append("end")
        )
        self.sender = SimpleNamespace(stop=lambda: self.done.append("stop"))

    def heal_all(self) -> None:
        self.done.append("heal")


def test_after_a_trial_everything_is_healed_and_an_interrupted_one_takes_the_stack_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenes: list[Noted] = []
    downs: list[str] = []

    def scene(*details: Any) -> Noted:
        scenes.append(Noted(*details))
        return scenes[-1]

    def fails(_: Any) -> Any:
        raise ClewError("Redis does not run.", "make doctor")

    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "Scene", scene)
    monkeypatch.setattr(bench.lifecycle, "down", lambda stack: downs.append(stack.settings))
    live = bench.LiveBench()
    live.settings, live.driver = "stock", SimpleNamespace()  # type: ignore[assignment]
    with pytest.raises(ClewError, match="Redis does not run"):
        live.see(fails)
    assert scenes[0].done == ["watch", "heal", "stop", "end"]
    assert downs == []
    with pytest.raises(KeyboardInterrupt):
        live.see(interrupted)
    assert downs == ["stock"]
    assert live.driver is None
    assert "heal" not in scenes[1].done
