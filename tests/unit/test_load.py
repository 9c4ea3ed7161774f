"""A load: what is planned, what is refused, and what is counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from clew.cli.load import load
from clew.core.errors import ClewError
from clew.load import run
from clew.load.scenarios import MOST_REQUESTS, SCENARIOS, Scenario, require_loopback, scenario_named

OUTCOMES = [{"id": f"ID-{n}", "status": 201 if n < 9 else 503, "ms": float(n), "late": 0.5} for n in range(10)]


def counted(found: set[str], sent: int = 10) -> run.Counted:
    return run.count("steady", 1, sent, OUTCOMES, found, Path("folder"))


def test_requests_are_due_at_a_constant_rate_within_each_phase() -> None:
    due = SCENARIOS["spike"].due(10)
    per_second = Counter(int(one.at) for one in due)
    assert [per_second[second] for second in range(10)] == [20, 20, 20, 20, 200, 200, 20, 20, 20, 20]
    assert [one.at for one in due] == sorted(one.at for one in due)


def test_no_two_requests_of_two_runs_have_the_same_id() -> None:
    ids = [one.correlation_id for _ in range(2) for one in SCENARIOS["steady"].due(2)]
    assert len(set(ids)) == len(ids) == 400


def test_a_scenario_mixes_priorities_and_clients_as_it_says() -> None:
    priorities = Counter(one.priority for one in SCENARIOS["mixed"].due(60))
    assert priorities["low"] > priorities["medium"] > priorities["high"] > 200
    assert 0.15 < sum(one.slow for one in SCENARIOS["slow"].due(60)) / 3600 < 0.25


def test_every_scenario_is_within_the_limits_as_it_stands() -> None:
    assert all(0 < len(one.due(one.seconds)) <= MOST_REQUESTS for one in SCENARIOS.values())


@pytest.mark.parametrize(("rate", "seconds"), [(1, 901), (1, 0), (1, -1), (1, float("nan")), (1000, 61)])
def test_a_run_that_is_too_long_or_too_large_is_refused(rate: float, seconds: float) -> None:
    with pytest.raises(ClewError, match="at most 900 seconds and 60,000 requests"):
        Scenario("big", "", [(1.0, rate)]).due(seconds)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8050", "http://localhost", "http://[::1]:80", "http://127.9.9.9"])
def test_this_machine_is_loaded(url: str) -> None:
    require_loopback(url)


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.1:80", "http://localhost.example.com", "", "x"])
def test_no_other_machine_is_loaded(url: str) -> None:
    with pytest.raises(ClewError, match="this machine only"):
        require_loopback(url)


def test_an_unknown_scenario_is_answered_with_those_there_are() -> None:
    with pytest.raises(ClewError, match="steady, spike, mixed, slow"):
        scenario_named("storm")


def test_each_acknowledged_id_is_looked_for_and_no_other() -> None:
    found = counted({"ID-0", "ID-1", "ID-9", "ANOTHER"}, sent=12)
    assert (found.sent, found.acknowledged, found.found) == (12, 9, 2)
    assert found.missing == [f"ID-{n}" for n in range(2, 9)]
    assert found.statuses == {"201": 9, "503": 1, "not sent": 2}
    assert found.p50 < found.p95 <= found.p99 <= found.longest == 9


def test_one_answer_has_percentiles_too() -> None:
    assert set(run.percentiles([3.0])) == {3.0}


@pytest.mark.parametrize(("found", "code"), [({one["id"] for one in OUTCOMES}, 0), ({"ID-0"}, 1)])
def test_the_command_fails_when_one_acknowledged_id_is_missing(
    monkeypatch: pytest.MonkeyPatch, found: set[str], code: int
) -> None:
    monkeypatch.setattr(run, "run", lambda *_: counted(found))
    done = CliRunner().invoke(load, ["5", "--json"])
    assert bool(done.exception) is bool(code)
    if code:
        assert "8 of 9 acknowledged IDs are in no worker's log, such as ID-1" in str(done.exception)
    assert json.loads(done.stdout)["found"] == (1 if code else 9)
