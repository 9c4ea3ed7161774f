"""Measurements: what the harness makes of rounds, and what the site shows of a recorded one."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.site import benched


def measured(monkeypatch: pytest.MonkeyPatch, again: float = 10.0, slow: float = 30.0, rounds: int = 4) -> Any:
    monkeypatch.syspath_prepend(ROOT / "tests/bench")
    harness = importlib.import_module("harness")
    noise = itertools.cycle([1.0, 1.1])  # a slow round is slow for all three

    @contextlib.contextmanager
    def opened(facts: dict[str, Any]) -> Any:
        yield {"slow": lambda: slow * next(noise), "base": lambda: 10.0, "again": lambda: again}
        facts["lost"] = 2

    ratios = (harness.Ratio("slow ÷ base", "slow", "base", 2.0), harness.Ratio("slow ÷ again", "slow", "again"))
    bench = harness.Bench("post", "A title", "µs", opened, ratios, ("base", "again"), warm=0, most={"lost": 0})
    return harness, harness.measure(bench, rounds)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    harness, result = measured(monkeypatch)
    one = result["ratios"][0]
    assert (one["median"], one["low"], one["high"]) == (3.15, 3.0, 3.3)
    assert result["chance"] == 1 and not result["void"]
    assert harness.missed(result) == ["slow ÷ base", "lost"]
    assert harness.missed(measured(monkeypatch, slow=15)[1]) == ["lost"]


@pytest.mark.parametrize(("again", "void"), [(10.4, False), (10.6, True), (9.4, True)])
def test_a_run_in_which_the_same_differs_by_more_than_five_percent_is_void(
    monkeypatch: pytest.MonkeyPatch, again: float, void: bool
) -> None:
    harness, result = measured(monkeypatch, again)
    assert result["void"] is void
    assert ("shows nothing" in "\n".join(harness.lines(result))) is void


def test_one_round_is_enough_for_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, rounds=1)[1]["ratios"][0]["median"] == pytest.approx(3.0)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(benched, "RESULTS", tmp_path)
    (tmp_path / "post.json").write_text(json.dumps(measured(monkeypatch)[1]))
    return tmp_path


def test_the_table_has_recorded_ratios_with_their_goals_and_says_what_is_not_recorded(recorded: Path) -> None:
    rows = benched.table().splitlines()
    [post] = [row for row in rows if row.startswith("| `post` |")]
    assert "| slow ÷ base | **3.15** (missed) | 3.00 to 3.30 | ≤ 2 | 1.000 |" in post
    assert "| `nginx` | not recorded yet | | | | | |" in rows
    assert len({row.count("|") for row in rows}) == 1


def test_a_measurement_shows_its_figures_facts_and_picture(recorded: Path) -> None:
    text = benched.figures("post")
    assert "- base: 10 µs\n" in text and "- lost: 2 (goal ≤ 0)" in text
    assert text.count("<circle") == 2 and text.count('class="limit"') == 1
    assert "make bench NAME=var RECORD=1" in benched.figures("var")


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "up", "ratios": []}'])
def test_a_broken_recording_is_named_with_the_command_that_replaces_it(recorded: Path, content: str) -> None:
    (recorded / "up.json").write_text(content)
    with pytest.raises(ClewError, match=r"up\.json is broken") as found:
        benched.table()
    assert found.value.next_step == "make bench NAME=up RECORD=1"


def test_an_unknown_measurement_is_refused() -> None:
    with pytest.raises(ClewError, match="no measurement 'x'"):
        benched.figures("x")
