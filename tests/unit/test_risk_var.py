"""calculate_var against what can be known without simulating."""

from __future__ import annotations

import json
import math
import time
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from taskqueue.risk import calculate_var, var

NORMAL = NormalDist()


def position(**changes: Any) -> dict[str, Any]:
    return {"symbol": "AAPL", "quantity": 100, "price": 150.0, **changes}


def portfolio(*positions: dict[str, Any], correlation: Any = None) -> dict[str, Any]:
    return {"positions": list(positions), "correlation": correlation}


class Lognormal:
    """One long position of value 1: its gross return is X = exp(m + s Z), its loss 1 - X."""

    def __init__(self, volatility: float, expected_return: float, days: int, confidence_level: float) -> None:
        years = days / 252
        self.m, self.s = (expected_return - volatility**2 / 2) * years, volatility * math.sqrt(years)
        self.level, self.z = confidence_level, NORMAL.inv_cdf(1 - confidence_level)

    def tail_moment(self, k: int) -> float:
        """E[X^k | Z < z]"""
        return math.exp(k * self.m + (k * self.s) ** 2 / 2) * NORMAL.cdf(self.z - k * self.s) / (1 - self.level)

    @property
    def var(self) -> float:
        return 1 - math.exp(self.m + self.s * self.z)

    @property
    def expected_shortfall(self) -> float:
        return 1 - self.tail_moment(1)

    def var_error(self, simulations: int) -> float:
        density = NORMAL.pdf(self.z) / (self.s * (1 - self.var))
        return math.sqrt(self.level * (1 - self.level) / simulations) / density

    def expected_shortfall_error(self, simulations: int) -> float:
        variance = self.tail_moment(2) - self.tail_moment(1) ** 2
        spread = variance + self.level * (self.expected_shortfall - self.var) ** 2
        return math.sqrt(spread / (simulations * (1 - self.level)))


@pytest.mark.parametrize("confidence_level", [0.5, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize(
    ("volatility", "expected_return", "days"),
    [(0.25, 0.0, 10), (0.6, 0.3, 252), (0.1, -0.5, 1), (1.5, 0.0, 504)],
)
def test_one_position_agrees_with_the_closed_form(
    volatility: float, expected_return: float, days: int, confidence_level: float
) -> None:
    exact = Lognormal(volatility, expected_return, days, confidence_level)
    holding = portfolio(position(volatility=volatility, expected_return=expected_return))
    result = calculate_var(holding, confidence_level, days, simulations=400_000, seed=11)
    assert result["portfolio_value"] == 15_000
    assert abs(result["var_amount"] / 15_000 - exact.var) < 4 * exact.var_error(400_000)
    assert abs(result["expected_shortfall"] / 15_000 - exact.expected_shortfall) < 4 * (
        exact.expected_shortfall_error(400_000)
    )


def test_the_errors_assumed_above_are_the_estimators_own() -> None:
    exact = Lognormal(0.25, 0.0, 10, 0.95)
    runs = [calculate_var(portfolio(position()), simulations=4_000, seed=seed) for seed in range(300)]
    for key, mean, error in [
        ("var_amount", exact.var, exact.var_error(4_000)),
        ("expected_shortfall", exact.expected_shortfall, exact.expected_shortfall_error(4_000)),
    ]:
        scores = np.array([(run[key] / 15_000 - mean) / error for run in runs])
        assert abs(scores.mean()) < 0.25
        assert 0.85 < scores.std(ddof=1) < 1.15


def test_a_short_position_loses_when_the_price_rises() -> None:
    s = 0.25 * math.sqrt(10 / 252)
    exact = 15_000 * (math.exp(-(s**2) / 2 + s * NORMAL.inv_cdf(0.95)) - 1)
    result = calculate_var(portfolio(position(quantity=-100)), simulations=400_000, seed=5)
    assert result["portfolio_value"] == -15_000
    assert result["var_amount"] == pytest.approx(exact, rel=0.01)
    assert result["var_amount"] > calculate_var(portfolio(position()), simulations=400_000, seed=5)["var_amount"]


def test_values_at_risk_add_up_when_all_move_as_one() -> None:
    positions = [position(symbol=f"S{i}", price=10.0 + i, volatility=0.1 + 0.05 * i) for i in range(5)]
    together = calculate_var(portfolio(*positions, correlation=[[1.0] * 5] * 5), simulations=400_000, seed=3)
    exact = [Lognormal(p["volatility"], 0.0, 10, 0.95) for p in positions]
    values = [p["quantity"] * p["price"] for p in positions]
    for key, name in [("var_amount", "var"), ("expected_shortfall", "expected_shortfall")]:
        total = sum(value * getattr(one, name) for value, one in zip(values, exact, strict=True))
        assert together[key] == pytest.approx(total, rel=0.01)


def test_a_perfect_hedge_cannot_lose() -> None:
    hedge = portfolio(position(), position(symbol="TWIN", quantity=-100), correlation=[[1, 1], [1, 1]])
    result = calculate_var(hedge, simulations=10_000, seed=1)
    assert result["portfolio_value"] == 0
    assert result["expected_shortfall"] == pytest.approx(0, abs=1e-6)


def test_diversification_follows_the_covariance_for_small_moves() -> None:
    correlation = [[1.0, 0.7, -0.2], [0.7, 1.0, 0.1], [-0.2, 0.1, 1.0]]
    quantities, volatilities = [3.0, -2.0, 1.5], [0.01, 0.03, 0.02]
    positions = [
        position(symbol=f"S{i}", quantity=q, price=1.0, volatility=v)
        for i, (q, v) in enumerate(zip(quantities, volatilities, strict=True))
    ]
    exposure = np.array(quantities) * volatilities
    deviation = math.sqrt(exposure @ np.array(correlation) @ exposure / 252)
    result = calculate_var(
        portfolio(*positions, correlation=correlation), time_horizon=1, simulations=1_000_000, seed=2
    )
    assert result["var_amount"] == pytest.approx(deviation * NORMAL.inv_cdf(0.95), rel=0.005)
    assert result["expected_shortfall"] == pytest.approx(deviation * NORMAL.pdf(NORMAL.inv_cdf(0.95)) / 0.05, rel=0.005)


def test_positions_are_independent_without_a_correlation() -> None:
    positions = [position(symbol=f"S{i}", volatility=0.01) for i in range(4)]
    result = calculate_var(portfolio(*positions), time_horizon=1, simulations=400_000, seed=2)
    deviation = 15_000 * 0.01 * math.sqrt(4 / 252)
    assert result["var_amount"] == pytest.approx(deviation * NORMAL.inv_cdf(0.95), rel=0.01)


def test_a_seed_repeats_a_run_and_none_draws_one_that_does() -> None:
    two = portfolio(position(), position(symbol="GOOGL"), correlation=[[1, 0.5], [0.5, 1]])
    first = calculate_var(two, simulations=1_000)
    assert calculate_var(two, simulations=1_000, seed=first["seed"]) == first
    assert calculate_var(two, simulations=1_000)["seed"] != first["seed"]
    assert calculate_var(two, simulations=1_000, seed=0)["seed"] == 0


def test_more_confidence_means_more_at_risk_and_the_shortfall_lies_beyond() -> None:
    results = [
        calculate_var(portfolio(position()), level, simulations=20_000, seed=7)
        for level in (0.5, 0.8, 0.9, 0.95, 0.975, 0.99, 0.999)
    ]
    amounts = [result["var_amount"] for result in results]
    assert amounts == sorted(set(amounts))
    assert all(result["expected_shortfall"] > result["var_amount"] for result in results)


def test_the_chunk_size_does_not_change_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    two = portfolio(position(), position(symbol="GOOGL"), correlation=[[1, 0.5], [0.5, 1]])
    whole = calculate_var(two, simulations=5_000, seed=4)
    monkeypatch.setattr(var, "CHUNK", 333)
    assert calculate_var(two, simulations=5_000, seed=4) == pytest.approx(whole)


def test_cash_neither_gains_nor_loses() -> None:
    result = calculate_var(portfolio(position(volatility=0.0)), simulations=100, seed=1)
    assert (result["var_amount"], result["expected_shortfall"]) == (0, 0)


@pytest.mark.parametrize(
    ("size", "confidence_level", "value_at_risk", "expected_shortfall"),
    [(10, 0.8, 8, 9.5), (10, 0.75, 8, (10 + 9 + 0.5 * 8) / 2.5), (100, 0.9, 90, 95.5), (20, 0.95, 19, 20)],
)
def test_the_tail_of_a_known_sample(
    size: int, confidence_level: float, value_at_risk: float, expected_shortfall: float
) -> None:
    losses = np.random.default_rng(0).permutation(np.arange(1.0, size + 1))
    assert var.tail(losses, confidence_level) == pytest.approx((value_at_risk, expected_shortfall))


@pytest.mark.parametrize("size", [1, 2, 5, 30])
@pytest.mark.parametrize("rank", [1, 2, 30])
def test_the_root_of_a_correlation_matrix_gives_it_back(size: int, rank: int) -> None:
    vectors = np.random.default_rng(size).standard_normal((size, rank))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix = vectors @ vectors.T
    root = var.correlation_root(matrix)
    np.testing.assert_allclose(root @ root.T, matrix, atol=1e-7)


def test_the_result_is_plain_json() -> None:
    result = calculate_var(portfolio(position()), simulations=100)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert [type(result[key]) for key in ("var_amount", "expected_shortfall", "portfolio_value")] == [float] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"portfolio_data": portfolio()}, "at least one position"),
        ({"portfolio_data": portfolio(position(price=-1.0))}, "price"),
        ({"portfolio_data": portfolio(position(price=math.nan))}, "price"),
        ({"portfolio_data": portfolio(position(quantity=0))}, "quantity"),
        ({"portfolio_data": portfolio(position(quantity=math.inf))}, "quantity"),
        ({"portfolio_data": portfolio(position(volatility=-0.1))}, "volatility"),
        ({"portfolio_data": portfolio(position(expected_return=math.nan))}, "expected_return"),
        ({"portfolio_data": portfolio(position(), correlation=[[1, 0], [0, 1]])}, "1 rows of 1"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"confidence_level": 0.3}, "confidence_level"),
        ({"confidence_level": math.nan}, "confidence_level"),
        ({"time_horizon": 0}, "time_horizon"),
        ({"simulations": 0}, "too few"),
        ({"simulations": 999, "confidence_level": 0.999}, "too few"),
    ],
)
def test_unusable_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calculate_var(**{"portfolio_data": portfolio(position()), **changes})


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.5]], "2 rows of 2"),
        ([[1, 0.5], [0.5]], "2 rows of 2"),
        ([[1, 0.5], [0.4, 1]], "symmetric"),
        ([[1, 1.5], [1.5, 1]], r"\[-1, 1\]"),
        ([[1, math.nan], [math.nan, 1]], r"\[-1, 1\]"),
        ([[0.9, 0], [0, 1]], "diagonal"),
    ],
)
def test_a_matrix_that_is_no_correlation_matrix_is_refused(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        var.correlation_matrix(matrix, 2)


def test_a_matrix_that_is_not_positive_semi_definite_is_refused() -> None:
    matrix = [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]
    with pytest.raises(ValueError, match="positive semi-definite"):
        var.correlation_matrix(matrix, 3)


def test_one_position_takes_well_under_a_tenth_of_a_second() -> None:
    def seconds() -> float:
        start = time.process_time()
        calculate_var(portfolio(position()), seed=1)
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.1
