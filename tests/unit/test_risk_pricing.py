"""monte_carlo_pricing against Black-Scholes and other results that need no simulation."""

from __future__ import annotations

import json
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from taskqueue.risk import monte_carlo_pricing, pricing

CDF = NormalDist().cdf


def option(**changes: Any) -> dict[str, Any]:
    terms = {"spot": 100.0, "strike": 105.0, "volatility": 0.2, "rate": 0.03, "maturity": 1.0}
    return {"kind": "european", "right": "call", **terms, **changes}


def black(forward: float, deviation: float, terms: dict[str, Any]) -> float:
    """The price of an option on something lognormal with this mean and this deviation of its logarithm."""
    strike: float = terms["strike"]
    discount: float = math.exp(-terms["rate"] * terms["maturity"])
    d1 = math.log(forward / strike) / deviation + deviation / 2
    sign = 1 if terms["right"] == "call" else -1
    return discount * sign * (forward * CDF(sign * d1) - strike * CDF(sign * (d1 - deviation)))


def black_scholes(terms: dict[str, Any]) -> float:
    forward = terms["spot"] * math.exp(terms["rate"] * terms["maturity"])
    return black(forward, terms["volatility"] * math.sqrt(terms["maturity"]), terms)


def geometric_asian(terms: dict[str, Any]) -> float:
    """The price when the geometric mean is averaged (Kemna and Vorst, 1990): a lower bound for a call."""
    m, sigma, years = terms["averaging_steps"], terms["volatility"], terms["maturity"]
    variance = sigma**2 * years * (m + 1) * (2 * m + 1) / (6 * m**2)
    mean = (terms["rate"] - sigma**2 / 2) * years * (m + 1) / (2 * m)
    return black(terms["spot"] * math.exp(mean + variance / 2), math.sqrt(variance), terms)


def test_the_reference_is_hulls_example() -> None:
    terms = option(spot=42.0, strike=40.0, rate=0.1, maturity=0.5)
    assert black_scholes(terms) == pytest.approx(4.76, abs=0.005)
    assert black_scholes({**terms, "right": "put"}) == pytest.approx(0.81, abs=0.005)


@pytest.mark.parametrize("right", ["call", "put"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"strike": 80.0},
        {"strike": 140.0, "maturity": 3.0},
        {"volatility": 0.8, "rate": -0.02},
        {"maturity": 1 / 252, "strike": 100.0},
        {"rate": 0.2, "maturity": 5.0},
    ],
)
def test_a_european_option_agrees_with_black_scholes(right: str, changes: dict[str, float]) -> None:
    terms = option(right=right, **changes)
    result = monte_carlo_pricing(terms, simulations=400_000, seed=21)
    assert abs(result["price"] - black_scholes(terms)) < 4 * result["standard_error"]
    assert result["standard_error"] < 0.01 * terms["spot"]


@pytest.mark.parametrize("terms", [option(), option(right="put"), option(kind="asian", strike=1e-6, averaging_steps=4)])
def test_the_standard_error_is_honest(terms: dict[str, Any]) -> None:
    exact = black_scholes(terms)
    if terms["kind"] == "asian":
        exact = math.exp(-0.03) * (sum(25 * math.exp(0.03 * i / 4) for i in (1, 2, 3, 4)) - 1e-6)
    runs = [monte_carlo_pricing(terms, simulations=2_000, seed=seed) for seed in range(400)]
    scores = np.array([(run["price"] - exact) / run["standard_error"] for run in runs])
    covered = [run["confidence_interval"][0] < exact < run["confidence_interval"][1] for run in runs]
    assert abs(scores.mean()) < 0.2
    assert 0.88 < scores.std(ddof=1) < 1.12
    assert 0.915 < np.mean(covered) < 0.985


def test_put_call_parity() -> None:
    call = monte_carlo_pricing(option(), simulations=400_000, seed=8)
    put = monte_carlo_pricing(option(right="put"), simulations=400_000, seed=8)
    error = 100 * math.sqrt(math.expm1(0.2**2) / 400_000)
    assert abs(call["price"] - put["price"] - (100 - 105 * math.exp(-0.03))) < 4 * error


@pytest.mark.parametrize("steps", [2, 12, 52])
def test_an_asian_call_lies_between_the_geometric_and_the_european_one(steps: int) -> None:
    terms = option(kind="asian", averaging_steps=steps)
    result = monte_carlo_pricing(terms, simulations=200_000, seed=9)
    assert geometric_asian(terms) < result["price"] < black_scholes(terms)


def test_an_asian_option_agrees_with_the_geometric_one_when_they_hardly_differ() -> None:
    terms = option(kind="asian", averaging_steps=12, volatility=0.02, rate=0.0, strike=100.0)
    result = monte_carlo_pricing(terms, simulations=200_000, seed=9)
    difference = result["price"] - geometric_asian(terms)
    assert -4 * result["standard_error"] < difference < 4 * result["standard_error"] + 100 * 0.02**2 / 12


def test_the_mean_of_the_average_is_the_mean_of_the_forwards() -> None:
    terms = option(kind="asian", averaging_steps=4, strike=1e-6, rate=0.5)
    forwards = [100 * math.exp(0.5 * i / 4) for i in (1, 2, 3, 4)]
    result = monte_carlo_pricing(terms, simulations=400_000, seed=6)
    assert abs(result["price"] - math.exp(-0.5) * np.mean(forwards)) < 4 * result["standard_error"]


def test_an_asian_option_with_one_date_is_european() -> None:
    asian = monte_carlo_pricing(option(kind="asian", averaging_steps=1), seed=2)
    assert asian["price"] == monte_carlo_pricing(option(), seed=2)["price"]


@pytest.mark.parametrize("absent", [{}, {"averaging_steps": None}])
def test_an_asian_option_averages_over_twelve_dates_unless_told(absent: dict[str, Any]) -> None:
    twelve = monte_carlo_pricing(option(kind="asian", averaging_steps=12), seed=2)
    assert monte_carlo_pricing(option(kind="asian", **absent), seed=2) == twelve


@pytest.mark.parametrize(
    ("changes", "payoff"),
    [
        ({"strike": 95.0}, 100 * math.exp(0.03) - 95),
        ({"strike": 110.0, "right": "put"}, 110 - 100 * math.exp(0.03)),
        ({"strike": 110.0}, 0),
        (
            {"strike": 95.0, "kind": "asian", "averaging_steps": 2},
            50 * math.exp(0.015) + 50 * math.exp(0.03) - 95,
        ),
    ],
)
def test_without_volatility_there_is_one_outcome(changes: dict[str, Any], payoff: float) -> None:
    result = monte_carlo_pricing(option(volatility=0.0, **changes), simulations=100, seed=1)
    assert result["price"] == pytest.approx(math.exp(-0.03) * payoff)
    assert result["standard_error"] == pytest.approx(0, abs=1e-12)


def test_no_path_in_the_money_is_told() -> None:
    result = monte_carlo_pricing(option(strike=1_000.0), simulations=1_000, seed=1)
    assert (result["price"], result["standard_error"], result["paths_in_the_money"]) == (0, 0, 0)


def test_at_the_money_is_not_in_the_money() -> None:
    result = monte_carlo_pricing(option(volatility=0.0, rate=0.0, strike=100.0), simulations=100)
    assert result["paths_in_the_money"] == 0


def test_paths_in_the_money_are_the_risk_neutral_probability() -> None:
    d2 = (math.log(100 / 105) + 0.03 - 0.02) / 0.2
    result = monte_carlo_pricing(option(), seed=3)
    assert result["paths_in_the_money"] / 100_000 == pytest.approx(CDF(d2), abs=4 * 0.5 / math.sqrt(100_000))


def test_a_seed_repeats_a_run_and_none_draws_one_that_does() -> None:
    first = monte_carlo_pricing(option(), simulations=1_000)
    assert monte_carlo_pricing(option(), simulations=1_000, seed=first["seed"]) == first
    assert monte_carlo_pricing(option(), simulations=1_000)["seed"] != first["seed"]


def test_the_chunk_size_does_not_change_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = option(kind="asian")
    whole = monte_carlo_pricing(terms, simulations=5_000, seed=4)
    monkeypatch.setattr(pricing, "CHUNK", 100)
    assert monte_carlo_pricing(terms, simulations=5_000, seed=4)["price"] == pytest.approx(whole["price"])


def test_the_result_is_plain_json() -> None:
    result = monte_carlo_pricing(option(), simulations=100)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "american"}, "kind"),
        ({"right": "both"}, "right"),
        ({"spot": 0.0}, "spot"),
        ({"strike": -1.0}, "strike"),
        ({"strike": math.nan}, "strike"),
        ({"maturity": math.inf}, "maturity"),
        ({"volatility": -0.1}, "volatility"),
        ({"volatility": math.nan}, "volatility"),
        ({"rate": math.inf}, "rate"),
        ({"kind": "asian", "averaging_steps": -1}, "averaging_steps"),
    ],
)
def test_unusable_options_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        monte_carlo_pricing(option(**changes), simulations=100)


def test_one_path_has_no_standard_error() -> None:
    with pytest.raises(ValueError, match="simulations"):
        monte_carlo_pricing(option(), simulations=1)
