"""Option prices by Monte Carlo simulation, each with the error that simulation leaves."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from taskqueue.risk.var import CHUNK, Floats, new_seed

INTERVAL = 0.95


def monte_carlo_pricing(option: dict[str, Any], simulations: int = 100_000, seed: int | None = None) -> dict[str, Any]:
    """Price a European or an Asian option on a stock that pays no dividend.

    Under the risk-neutral measure the stock's price is multiplied, from one of m averaging dates to the next,
    h = maturity / m years later, by

        exp((rate - volatility^2 / 2) h + volatility sqrt(h) Z).

    With A the mean of the prices on the m dates, a call pays max(A - strike, 0) at maturity, a put
    max(strike - A, 0). A European option has one date only, maturity. The option's price is the mean of the
    payoffs x exp(-rate x maturity); its standard error is their sample deviation / sqrt(simulations). When
    no path ends in the money both are 0, and the error says nothing.

    Args:
        option: `kind` ("european" or "asian"), `right` ("call" or "put"), `spot` and `strike` (currency),
            `volatility` and `rate` (per year, the rate continuously compounded), `maturity` (years) and, for
            an Asian option, `averaging_steps` (m, default 12).
        simulations: number of paths, at least 2.
        seed: makes the run repeatable; drawn when None, and reported either way.

    Raises:
        ValueError: an unknown `kind` or `right`, or a number out of its range.

    Sources:
        Boyle, Options: a Monte Carlo approach (1977); Glasserman, Monte Carlo Methods in Financial
        Engineering (2004), section 1.1.
    """
    if option["kind"] not in ("european", "asian"):
        raise ValueError(f"kind must be european or asian, not {option['kind']!r}")
    if option["right"] not in ("call", "put"):
        raise ValueError(f"right must be call or put, not {option['right']!r}")
    if not all(math.isfinite(option[name]) and option[name] > 0 for name in ("spot", "strike", "maturity")):
        raise ValueError("spot, strike and maturity must be finite and positive")
    if not (math.isfinite(option["volatility"]) and option["volatility"] >= 0):
        raise ValueError("volatility must be finite and not negative")
    if not math.isfinite(option["rate"]):
        raise ValueError("rate must be finite")
    steps = 1 if option["kind"] == "european" else option.get("averaging_steps") or 12
    if steps < 1:
        raise ValueError(f"averaging_steps must be positive, not {steps}")
    if simulations < 2:
        raise ValueError(f"simulations must be at least 2, not {simulations}")
    seed = new_seed() if seed is None else seed

    averages = simulate_averages(option, steps, simulations, seed)
    gains = averages - option["strike"] if option["right"] == "call" else option["strike"] - averages
    payoffs = math.exp(-option["rate"] * option["maturity"]) * np.maximum(gains, 0)
    price = float(payoffs.mean())
    standard_error = float(payoffs.std(ddof=1)) / math.sqrt(simulations)
    margin = NormalDist().inv_cdf((1 + INTERVAL) / 2) * standard_error
    return {
        "price": price,
        "standard_error": standard_error,
        "confidence_interval": [price - margin, price + margin],
        "confidence_level": INTERVAL,
        "paths_in_the_money": int(np.count_nonzero(gains > 0)),
        "kind": option["kind"],
        "right": option["right"],
        "simulations": simulations,
        "seed": seed,
    }


def simulate_averages(option: dict[str, Any], steps: int, simulations: int, seed: int) -> Floats:
    """Draw the mean of the prices on `steps` equally spaced dates up to maturity; shape (simulations,)."""
    random = np.random.default_rng(seed)
    years = option["maturity"] / steps
    drift = (option["rate"] - option["volatility"] ** 2 / 2) * years
    scale = option["volatility"] * math.sqrt(years)
    averages = np.empty(simulations)
    paths = max(1, CHUNK // steps)
    for start in range(0, simulations, paths):
        chunk = averages[start : start + paths]
        returns = drift + scale * random.standard_normal((chunk.size, steps))
        chunk[:] = option["spot"] * np.exp(returns.cumsum(axis=1)).mean(axis=1)
    return averages
