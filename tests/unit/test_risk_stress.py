"""stress_test: sums a reader can redo by hand."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import pytest

from taskqueue.risk import stress_test
from taskqueue.risk.stress import HISTORICAL_SCENARIOS

PORTFOLIO = {
    "positions": [
        {"symbol": "AAPL", "quantity": 100, "price": 150.0},
        {"symbol": "TSLA", "quantity": -10, "price": 200.0},
    ]
}


def run(**scenario: Any) -> dict[str, Any]:
    """The result of one scenario of the caller's."""
    found: dict[str, Any] = stress_test(PORTFOLIO, [{"name": "mine", **scenario}])["scenarios"][-1]
    return found


def test_history_comes_by_itself() -> None:
    result = stress_test(PORTFOLIO)
    assert result["portfolio_value"] == 13_000
    amounts = {scenario["name"]: scenario["pnl"] for scenario in result["scenarios"]}
    assert amounts == pytest.approx(
        {
            "Black Monday 1987": -2_665,
            "Dot-com bust 2000-2002": -6_383,
            "Global financial crisis 2007-2009": -7_384,
            "Covid-19 2020": -4_407,
        }
    )
    crisis = result["scenarios"][2]
    assert crisis["positions"] == pytest.approx({"AAPL": -8_520, "TSLA": 1_136})
    assert crisis["kind"] == "historical"
    assert result["worst"] == {"name": crisis["name"], "kind": "historical", "pnl": crisis["pnl"]}


@pytest.mark.parametrize("scenario", HISTORICAL_SCENARIOS, ids=lambda scenario: str(scenario["name"]))
def test_each_historical_shock_is_the_move_of_the_index(scenario: dict[str, Any]) -> None:
    assert round(scenario["end_level"] / scenario["start_level"] - 1, 3) == scenario["shock"]
    assert datetime.date.fromisoformat(scenario["start"]) < datetime.date.fromisoformat(scenario["end"])
    assert scenario["source"]


def test_a_shock_moves_every_price() -> None:
    assert run(shock=-0.5) == {
        "name": "mine",
        "shock": -0.5,
        "pnl": -6_500,
        "positions": {"AAPL": -7_500, "TSLA": 1_000},
        "kind": "hypothetical",
    }


def test_a_symbols_own_shock_goes_before_the_common_one() -> None:
    assert run(shock=-0.1, shocks={"TSLA": 0.5})["positions"] == {"AAPL": -1_500, "TSLA": -1_000}


def test_a_price_without_a_shock_stays() -> None:
    assert run(shock=None, shocks={"TSLA": 0.5})["positions"] == {"AAPL": 0, "TSLA": -1_000}
    assert run(shock=-0.1, shocks={"TSLA": 0.0})["positions"] == {"AAPL": -1_500, "TSLA": 0}


def test_the_worst_scenario_may_be_the_callers() -> None:
    scenarios = [{"name": "rally", "shock": 0.3}, {"name": "ruin", "shock": -0.9}]
    worst = stress_test(PORTFOLIO, scenarios)["worst"]
    assert worst == {"name": "ruin", "kind": "hypothetical", "pnl": pytest.approx(-11_700)}


def test_the_worst_of_a_short_portfolio_is_the_mildest_crash() -> None:
    short = {"positions": [{"symbol": "AAPL", "quantity": -1, "price": 100.0}]}
    assert stress_test(short)["worst"] == {"name": "Black Monday 1987", "kind": "historical", "pnl": 20.5}


def test_the_scenarios_themselves_stay_as_they_are() -> None:
    stress_test(PORTFOLIO)
    assert all("pnl" not in scenario for scenario in HISTORICAL_SCENARIOS)


def test_the_result_is_plain_json() -> None:
    result = stress_test(PORTFOLIO, [{"name": "mine", "shock": -0.5}])
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ({}, "needs a shock"),
        ({"shocks": {}}, "needs a shock"),
        ({"shock": -1.0}, "above -1"),
        ({"shock": math.nan}, "finite"),
        ({"shocks": {"AAPL": math.inf}}, "finite"),
        ({"shocks": {"APPL": -0.1}}, "APPL"),
    ],
)
def test_unusable_scenarios_are_refused(scenario: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(**scenario)


def test_unusable_portfolios_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one position"):
        stress_test({"positions": []})
    with pytest.raises(ValueError, match="once"):
        stress_test({"positions": PORTFOLIO["positions"] * 2})
