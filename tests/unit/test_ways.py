"""Three ways to carry an ID: what each keeps, run in a small program; what the recorded comparison shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from clew.cli import cli
from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.evidence.journey import SENT_ID
from clew.lab import recordings
from clew.lab.ways import cases, compare, experiment, folder, trial
from clew.lab.ways.compare import Comparison

SEEN = Comparison.from_json(recordings.load("ways"))


@pytest.mark.parametrize("way", folder.WAYS)
def test_where_the_id_gets_to(way: str) -> None:
    wrong = [check for check in compare.checks_of_cases({way: cases.run(way)}) if not check.ok]
    assert wrong == []


def test_the_recorded_comparison_shows_what_its_page_says() -> None:
    assert [check for check in SEEN.checks() if not check.ok] == []
    assert [one.way for one in SEEN.trials] == list(folder.WAYS)
    assert {one.way: one.changed for one in SEEN.trials} == {way: folder.changed(way) for way in folder.WAYS}
    assert len(compare.FOUND) == len(SEEN.cases) == 3
    assert len({tuple(row) for row in SEEN.rows()}) == len(SEEN.rows()) == 17
    assert all(len(row) == len(compare.HEAD) for row in SEEN.rows())
    assert Comparison.from_json(SEEN.to_json()).to_json() == SEEN.to_json()


def test_a_check_notices_an_id_that_was_kept_or_lost() -> None:
    by_hand = trial.Trial.from_json({**SEEN.trials[0].to_json(), "sent_again": None, "retried": [SENT_ID, None]})
    wrong = {check.what for check in compare.checks_of_trials([by_hand]) if not check.ok}
    assert wrong == {"by hand: a retry keeps it", "by hand: a message that is sent again keeps it"}
    swapped = {folder.CONTEXT: SEEN.cases[folder.BY_HAND]}
    assert [check.ok for check in compare.checks_of_cases(swapped)].count(False) == 6


@pytest.mark.parametrize("way", folder.WAYS)
def test_a_way_is_a_whole_stage_and_leaves_nothing_of_another(way: str, tmp_path: Path) -> None:
    folder.write(folder.OPENTELEMETRY, tmp_path)
    folder.write(way, tmp_path)
    wanted = {"compose.yaml", "fastapi-app", "celery-worker", "nginx", folder.SPANS, ".env"}
    assert {path.name for path in tmp_path.iterdir()} == wanted
    assert len(list(tmp_path.rglob(folder.CARRY))) == (0 if way == folder.BY_HAND else 2)
    nginx = (tmp_path / "nginx/nginx.conf").read_bytes()
    assert nginx == (ROOT / "stages/05-worker/nginx/nginx.conf").read_bytes()


def test_a_span_is_read_as_the_sdk_writes_it() -> None:
    data = {
        "name": "run/one",
        "context": {"trace_id": "0x1", "span_id": "0x2"},
        "parent_id": None,
        "start_time": "1970-01-01T00:00:01.500000Z",
        "end_time": "1970-01-01T00:00:02.000000Z",
        "attributes": {},
        "resource": {"attributes": {"service.name": "celery-worker-1"}},
    }
    span = trial.span_of(data)
    assert (span.service, span.begin, span.end, span.correlation_id) == ("celery-worker-1", 1.5, 2.0, None)


def test_a_notebook_can_replay_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_REPLAY", "1")
    ways = experiment.ThreeWays()
    for question in (ways.table, ways.waterfall, ways.headers, lambda: ways.run("by-magic")):
        with pytest.raises(ClewError) as error:
            question()
        assert error.value.next_step.startswith("experiment.")
    assert "recording" in repr(ways.up())
    for way in folder.WAYS:
        assert [row[1] for row in ways.run(way).table.rows] == [SENT_ID] * 5
    assert ways.table().rows == compare.nine_services(SEEN.trials)
    picture = ways.waterfall()
    assert (
        "run/tasks.calculate_var" in picture.text() and picture.picture.count("<rect") == len(picture.table.rows) == 5
    )
    assert [row[1] for row in ways.headers().rows] == [SENT_ID, "made by nginx", SENT_ID, "made by nginx"]
    assert [row[1] for row in ways.cases({"child": "kept"}).rows][:2] == ["kept", "?"]
    assert len(ways.cost().rows) == 4


def test_the_command_prints_the_table_and_tells_what_is_not_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "all_ways", lambda say: SEEN)
    assert "headers.x_correlation_id" in CliRunner().invoke(cli, ["ways"], catch_exceptions=False).stdout
    as_json = CliRunner().invoke(cli, ["ways", "--json"], catch_exceptions=False).stdout
    assert Comparison.from_json(json.loads(as_json)).rows() == SEEN.rows()
    lost = trial.Trial.from_json({**SEEN.trials[0].to_json(), "in_flower": False})
    monkeypatch.setattr(experiment, "all_ways", lambda say: Comparison([lost], SEEN.cases, SEEN.costs))
    with pytest.raises(ClewError, match="Flower's page has the ID: False, expected True"):
        CliRunner().invoke(cli, ["ways", "--json"], catch_exceptions=False, standalone_mode=False)


def test_the_source_of_a_way_is_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_REPLAY", "1")
    assert "class Remember" in experiment.ThreeWays().source(folder.CONTEXT).text()
    with pytest.raises(ClewError, match="no module of its own"):
        experiment.ThreeWays().source(folder.BY_HAND)


def test_containers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVER", "docker")
    with pytest.raises(ClewError, match="local driver"), trial.stack_for_ways():
        pass
