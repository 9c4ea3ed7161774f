"""The fields of each calculation's result, which clients rely on, and what is refused at the very limit."""

from __future__ import annotations

from typing import Any

import pytest

from taskqueue import risk
from taskqueue.risk import pricing, var

POSITIONS = [{"symbol": "AAPL", "quantity": 100, "price": 150}, {"symbol": "GOOGL", "quantity": 1, "price": 3000}]
OPTION = {"kind": "european", "right": "call", "spot": 100.0, "strike": 105.0, "volatility": 0.2, "rate": 0.03,
          "maturity": 1.0}  # fmt: skip
ASSETS = [{"symbol": "A", "expected_return": 0.09, "volatility": 0.28},
          {"symbol": "B", "expected_return": 0.08, "volatility": 0.24}]  # fmt: skip


def test_value_at_risk() -> None:
    found = risk.calculate_var({"positions": POSITIONS}, 0.9, 5, 1_000, 7)
    assert set(found) == {
        "var_amount", "expected_shortfall", "portfolio_value", "confidence_level", "time_horizon", "simulations", "seed"
    }  # fmt: skip
    assert found["portfolio_value"] == 18_000.0
    assert [found[name] for name in ("confidence_level", "time_horizon", "simulations", "seed")] == [0.9, 5, 1_000, 7]
    assert 0 < found["var_amount"] < found["expected_shortfall"] < 18_000


def test_pricing() -> None:
    found = risk.monte_carlo_pricing(OPTION, 1_000, 7)
    assert set(found) == {
        "paths_in_the_money",
        "seed",
        "right",
        "price",
        "kind",
        "confidence_level",
        "simulations",
        "confidence_interval",
        "standard_error",
    }
    low, high = found["confidence_interval"]
    assert low < found["price"] < high and found["confidence_level"] == pricing.INTERVAL
    assert (high - low) / 2 == pytest.approx(1.96 * found["standard_error"], rel=1e-3)
    assert (found["simulations"], found["seed"]) == (1_000, 7)


def test_optimization() -> None:
    found = risk.portfolio_optimization(ASSETS, None, 3.0)
    assert set(found) == {
        "iterations",
        "expected_return",
        "utility_gap",
        "volatility",
        "utility",
        "converged",
        "weights",
    }
    assert set(found["weights"]) == {"A", "B"} and sum(found["weights"].values()) == pytest.approx(1)
    assert found["utility"] == pytest.approx(found["expected_return"] - 1.5 * found["volatility"] ** 2)


@pytest.mark.parametrize(("simulations", "enough"), [(20, True), (19, False)])
def test_one_path_in_the_tail_is_enough(simulations: int, enough: bool) -> None:
    if enough:
        assert risk.calculate_var({"positions": POSITIONS}, 0.95, 10, simulations, 7)["simulations"] == simulations
        return
    with pytest.raises(ValueError, match=r"^19 simulations are too few to see a tail of 0\.05$"):
        risk.calculate_var({"positions": POSITIONS}, 0.95, 10, simulations, 7)


def test_two_paths_have_a_standard_error() -> None:
    found = risk.monte_carlo_pricing({**OPTION, "volatility": 0.5}, 2, 3)
    assert found["standard_error"] >= 0 and found["simulations"] == 2


@pytest.mark.parametrize(("changes", "field"), [
    ({"price": 0}, "price"), ({"price": float("inf")}, "price"), ({"quantity": 0}, "quantity"),
    ({"volatility": -0.1}, "volatility"), ({"expected_return": float("nan")}, "expected_return"),
])  # fmt: skip
def test_a_refusal_names_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=rf"^every {field} must"):
        risk.calculate_var({"positions": [{**POSITIONS[0], **changes}]}, 0.95, 10, 100, 7)


def test_a_correlation_may_be_off_by_rounding_only() -> None:
    nearly = [[1, 0.5], [0.5 + 0.5 * var.TOLERANCE, 1]]
    assert var.correlation_matrix(nearly, 2).shape == (2, 2)
    for wrong in ([[1, 0.5], [0.5 + 3 * var.TOLERANCE, 1]], [[1 - 3 * var.TOLERANCE, 0.5], [0.5, 1]]):
        with pytest.raises(ValueError, match=r"^correlation must "):
            var.correlation_matrix(wrong, 2)
