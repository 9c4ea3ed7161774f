"""portfolio_optimization against formulas, the conditions of optimality and exhaustive search."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from taskqueue.risk import optimization, portfolio_optimization


def assets(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"symbol": f"S{i}", "expected_return": mu, "volatility": sigma} for i, (mu, sigma) in enumerate(pairs)]


def random_problem(seed: int) -> tuple[list[dict[str, Any]], list[list[float]], float]:
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 40))
    vectors = random.standard_normal((size, int(random.integers(1, size + 1))))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    correlation = np.clip(vectors @ vectors.T, -1, 1)
    np.fill_diagonal(correlation, 1)
    pairs = zip(random.normal(0.05, 0.1, size), random.uniform(0.01, 0.6, size), strict=True)
    return assets(*pairs), correlation.tolist(), float(10 ** random.uniform(-1, 2))


@pytest.mark.parametrize("risk_aversion", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("rho", [-0.9, -0.2, 0.0, 0.5])
@pytest.mark.parametrize("returns", [(0.08, 0.03), (0.05, 0.05), (0.02, 0.3)])
def test_two_assets_agree_with_the_formula(risk_aversion: float, rho: float, returns: tuple[float, float]) -> None:
    (mu1, mu2), (sigma1, sigma2) = returns, (0.2, 0.1)
    shared = rho * sigma1 * sigma2
    free = ((mu1 - mu2) / risk_aversion + sigma2**2 - shared) / (sigma1**2 + sigma2**2 - 2 * shared)
    weight = min(max(free, 0.0), 1.0)
    result = portfolio_optimization(assets((mu1, sigma1), (mu2, sigma2)), [[1, rho], [rho, 1]], risk_aversion)
    variance = (weight * sigma1) ** 2 + ((1 - weight) * sigma2) ** 2 + 2 * weight * (1 - weight) * shared
    mean = weight * mu1 + (1 - weight) * mu2
    assert result["converged"]
    assert result["weights"] == pytest.approx({"S0": weight, "S1": 1 - weight}, abs=1e-4)
    assert result["expected_return"] == pytest.approx(mean, abs=1e-4)
    assert result["volatility"] == pytest.approx(math.sqrt(variance), abs=1e-4)
    assert result["utility"] == pytest.approx(mean - risk_aversion / 2 * variance, abs=1e-9)


def test_independent_assets_of_equal_return_are_weighted_by_precision() -> None:
    result = portfolio_optimization(assets((0.05, 0.1), (0.05, 0.2), (0.05, 0.4)))
    precision = np.array([1 / 0.01, 1 / 0.04, 1 / 0.16])
    assert list(result["weights"].values()) == pytest.approx(precision / precision.sum(), abs=1e-4)


@pytest.mark.parametrize("seed", range(40))
def test_the_conditions_of_optimality_hold(seed: int) -> None:
    items, correlation, risk_aversion = random_problem(seed)
    result = portfolio_optimization(items, correlation, risk_aversion)
    weights = np.array(list(result["weights"].values()))
    mu = np.array([item["expected_return"] for item in items])
    sigma = np.array([item["volatility"] for item in items])
    covariance = np.array(correlation) * np.outer(sigma, sigma)
    marginal = mu - risk_aversion * covariance @ weights
    assert result["converged"]
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert marginal.max() - marginal @ weights == pytest.approx(result["utility_gap"], abs=1e-12)
    assert result["utility_gap"] < 1e-7
    assert marginal[weights > 1e-3].min() > marginal.max() - 1e-4
    assert result["utility"] == pytest.approx(
        mu @ weights - risk_aversion / 2 * weights @ covariance @ weights, abs=1e-12
    )


@pytest.mark.parametrize("risk_aversion", [0.5, 3.0, 30.0])
def test_no_mix_on_a_fine_grid_is_better(risk_aversion: float) -> None:
    mu, sigma = np.array([0.10, 0.06, 0.03]), np.array([0.3, 0.15, 0.05])
    correlation = [[1, 0.6, -0.3], [0.6, 1, 0.0], [-0.3, 0.0, 1]]
    covariance = np.array(correlation) * np.outer(sigma, sigma)
    grid = np.array([(i, j, 200 - i - j) for i in range(201) for j in range(201 - i)]) / 200
    utility = grid @ mu - risk_aversion / 2 * np.einsum("ij,jk,ik->i", grid, covariance, grid)
    result = portfolio_optimization(assets(*zip(mu, sigma, strict=True)), correlation, risk_aversion)
    assert utility.max() - 1e-9 <= result["utility"] <= utility.max() + 1e-4
    assert list(result["weights"].values()) == pytest.approx(grid[utility.argmax()], abs=0.01)


def test_hardly_any_risk_aversion_takes_the_highest_return() -> None:
    result = portfolio_optimization(assets((0.05, 0.1), (0.09, 0.5), (0.07, 0.2)), risk_aversion=1e-6)
    assert result["weights"] == pytest.approx({"S0": 0, "S1": 1, "S2": 0}, abs=1e-6)


def test_a_hedge_can_take_all_risk_away() -> None:
    result = portfolio_optimization(assets((0.05, 0.2), (0.05, 0.2)), [[1, -1], [-1, 1]])
    assert result["weights"] == pytest.approx({"S0": 0.5, "S1": 0.5}, abs=1e-6)
    assert result["volatility"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("items", "weights"),
    [
        (assets((0.05, 0.2)), [1]),
        (assets((0.05, 0.0), (0.06, 0.0)), [0, 1]),
        (assets((0.0, 0.0), (0.0, 0.0)), [0.5, 0.5]),
        (assets((5.0, 1e-9), (5.0, 1e-9)), [0.5, 0.5]),
    ],
)
def test_degenerate_problems_have_an_answer(items: list[dict[str, Any]], weights: list[float]) -> None:
    result = portfolio_optimization(items)
    assert result["converged"]
    assert list(result["weights"].values()) == pytest.approx(weights)


def test_an_unfinished_search_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    items, correlation, risk_aversion = random_problem(1)
    finished = portfolio_optimization(items, correlation, risk_aversion)
    monkeypatch.setattr(optimization, "MAX_ITERATIONS", 2)
    result = portfolio_optimization(items, correlation, risk_aversion)
    assert (result["iterations"], result["converged"]) == (2, False)
    assert finished["iterations"] > 2
    assert 0 < finished["utility"] - result["utility"] <= result["utility_gap"]


def test_a_hundred_assets_driven_by_five_factors_take_a_few_hundred_steps() -> None:
    random = np.random.default_rng(0)
    factors = np.hstack([random.standard_normal((100, 5)), 0.03 * np.eye(100)])
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    pairs = zip(random.normal(0.05, 0.02, 100), random.uniform(0.05, 0.6, 100), strict=True)
    result = portfolio_optimization(assets(*pairs), np.clip(factors @ factors.T, -1, 1).tolist())
    assert result["converged"]
    assert result["iterations"] < 600


def test_the_projection_is_the_nearest_point() -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 7):
        point = random.standard_normal(size) * 2
        nearest = optimization.project(point)
        others = random.dirichlet(np.ones(size), 2_000)
        assert nearest.min() >= 0
        assert nearest.sum() == pytest.approx(1)
        assert np.linalg.norm(others - point, axis=1).min() >= np.linalg.norm(nearest - point) - 1e-12


def test_the_result_is_plain_json() -> None:
    result = portfolio_optimization(assets((0.05, 0.2), (0.03, 0.1)))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["converged"] is True


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        ([], {}, "at least one"),
        (assets((0.05, 0.2)) * 2, {}, "once"),
        (assets((0.05, -0.2)), {}, "volatility"),
        (assets((math.nan, 0.2)), {}, "expected_return"),
        (assets((0.05, 0.2)), {"risk_aversion": 0}, "risk_aversion"),
        (assets((0.05, 0.2)), {"risk_aversion": math.inf}, "risk_aversion"),
        (assets((0.05, 0.2), (0.1, 0.2)), {"correlation": [[1, 0.5], [0.4, 1]]}, "symmetric"),
    ],
)
def test_unusable_arguments_are_refused(items: list[dict[str, Any]], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        portfolio_optimization(items, **options)
