"""Mean-variance optimization: the best mix of assets for someone who dislikes risk this much."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from taskqueue.risk.var import Floats, check_rates, correlation_matrix

MAX_ITERATIONS = 20_000
TOLERANCE = 1e-10


def portfolio_optimization(
    assets: list[dict[str, Any]], correlation: list[list[float]] | None = None, risk_aversion: float = 3.0
) -> dict[str, Any]:
    """Find the mix of assets with the highest utility, without short sales.

    The weights w (each w_i >= 0, together 1) are those with the highest

        U(w) = mu . w - risk_aversion / 2 x w . S w,   S_ij = correlation_ij sigma_i sigma_j.

    `utility_gap` bounds what any other weights could add to the utility; the search has `converged` when that
    is next to nothing, 1e-10 of the scale on which the utilities of two mixes differ.

    Args:
        assets: n dicts of `symbol`, `expected_return` (mu, per year) and `volatility` (sigma, per year).
        correlation: n x n matrix; the identity when None.
        risk_aversion: positive; the higher, the less risk is taken for the same return.

    Raises:
        ValueError: a number out of its range, no asset, a symbol given twice, or a matrix that is not a
            correlation matrix.

    Sources:
        Markowitz, Portfolio selection (1952).
    """
    symbols = [asset["symbol"] for asset in assets]
    if not symbols:
        raise ValueError("assets must hold at least one asset")
    if len(set(symbols)) < len(symbols):
        raise ValueError("every symbol must occur once")
    if not (math.isfinite(risk_aversion) and risk_aversion > 0):
        raise ValueError(f"risk_aversion must be finite and positive, not {risk_aversion}")
    expected_return = np.array([asset["expected_return"] for asset in assets], dtype=float)
    volatility = np.array([asset["volatility"] for asset in assets], dtype=float)
    check_rates(volatility, expected_return)
    covariance = correlation_matrix(correlation, len(assets)) * np.outer(volatility, volatility)

    weights, gap, iterations, converged = maximize(expected_return, risk_aversion * covariance)
    variance = max(float(weights @ covariance @ weights), 0.0)
    mean = float(weights @ expected_return)
    return {
        "weights": dict(zip(symbols, weights.tolist(), strict=True)),
        "expected_return": mean,
        "volatility": math.sqrt(variance),
        "utility": mean - risk_aversion / 2 * variance,
        "utility_gap": gap,
        "iterations": iterations,
        "converged": converged,
    }


def maximize(linear: Floats, quadratic: Floats) -> tuple[Floats, float, int, bool]:
    """Maximize linear . w - w . quadratic w / 2 over the simplex by accelerated projected gradient steps.

    One step is the gradient / `scale`, which is no less than the largest curvature. With g the gradient at w,

        gap = max_i g_i - g . w

    is 0 exactly where the Karush-Kuhn-Tucker conditions hold (g_i is the same for all assets held and not
    higher for any other), and never less than the utility still missing. Returns w of shape (n,), the gap,
    the number of steps and whether they were enough.

    Sources:
        Beck and Teboulle, A fast iterative shrinkage-thresholding algorithm (2009); O'Donoghue and Candes,
        Adaptive restart for accelerated gradient schemes (2015); Jaggi, Revisiting Frank-Wolfe (2013), for
        the gap.
    """
    linear = linear - linear.max()
    scale = float(np.linalg.eigvalsh(quadratic)[-1]) - float(linear.min())
    weights = ahead = np.full(linear.size, 1 / linear.size)
    momentum = 1.0
    for iteration in range(MAX_ITERATIONS + 1):
        gradient = linear - quadratic @ weights
        gap = max(float(gradient.max() - gradient @ weights), 0.0)
        if gap <= TOLERANCE * scale or iteration == MAX_ITERATIONS:
            break
        stepped = project(ahead + (linear - quadratic @ ahead) / scale)
        if (ahead - stepped) @ (stepped - weights) > 0:
            momentum = 1.0
        next_momentum = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = stepped + (momentum - 1) / next_momentum * (stepped - weights)
        weights, momentum = stepped, next_momentum
    return weights, gap, iteration, gap <= TOLERANCE * scale


def project(point: Floats) -> Floats:
    """Return the nearest point of the simplex (no coordinate negative, their sum 1); shapes (n,).

    Source: Duchi et al., Efficient projections onto the l1-ball (2008), figure 1.
    """
    descending = np.sort(point)[::-1]
    shifts = (np.cumsum(descending) - 1) / np.arange(1, point.size + 1)
    shift = shifts[descending > shifts][-1]
    nearest: Floats = np.maximum(point - shift, 0)
    return nearest
