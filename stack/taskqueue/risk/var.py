"""Value at risk: how much can this portfolio lose in a few days, on all but its worst days?"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TRADING_DAYS_PER_YEAR = 252
CHUNK = 100_000
TOLERANCE = 1e-8


def calculate_var(
    portfolio_data: dict[str, Any],
    confidence_level: float = 0.95,
    time_horizon: int = 10,
    simulations: int = 100_000,
    seed: int | None = None,
) -> dict[str, Any]:
    """Estimate value at risk and expected shortfall by Monte Carlo simulation.

    Each price follows a geometric Brownian motion. With T = `time_horizon` / 252 years and correlated
    standard normals Z, position i of value q_i p_i loses

        L_i = -q_i p_i (exp((mu_i - sigma_i^2 / 2) T + sigma_i sqrt(T) Z_i) - 1).

    The portfolio loses L = sum of L_i. Value at risk is the `confidence_level` quantile of L; expected
    shortfall is the mean of L over the worst 1 - `confidence_level` of all paths. Both are in the currency of
    the prices, and negative when even that bad a day ends with a profit.

    Args:
        portfolio_data: `positions`, n dicts of `symbol`, `quantity` (units, negative when short), `price`
            (per unit), `volatility` (per year, default 0.25) and `expected_return` (per year, continuously
            compounded, default 0.0); `correlation`, an n x n matrix, when the positions do not move
            independently.
        confidence_level: at least 0.5, below 1.
        time_horizon: trading days, 252 to the year.
        simulations: number of paths, at least 1 / (1 - `confidence_level`).
        seed: makes the run repeatable; drawn when None, and reported either way.

    Raises:
        ValueError: a number out of its range, no position, or a matrix that is not a correlation matrix.

    Sources:
        Glasserman, Monte Carlo Methods in Financial Engineering (2004), sections 2.3.3 and 3.2 and chapter 9;
        Acerbi and Tasche, On the coherence of expected shortfall (2002), for the estimator of expected
        shortfall.
    """
    if not 0.5 <= confidence_level < 1:
        raise ValueError(f"confidence_level must be at least 0.5 and below 1, not {confidence_level}")
    if time_horizon <= 0:
        raise ValueError(f"time_horizon must be positive, not {time_horizon}")
    check_tail(confidence_level, simulations)
    positions = portfolio_data["positions"]
    values = position_values(positions)
    volatility = np.array([position.get("volatility", 0.25) for position in positions], dtype=float)
    expected_return = np.array([position.get("expected_return", 0.0) for position in positions], dtype=float)
    check_rates(volatility, expected_return)
    root = correlation_root(correlation_matrix(portfolio_data.get("correlation"), len(positions)))
    seed = new_seed() if seed is None else seed

    years = time_horizon / TRADING_DAYS_PER_YEAR
    drift = (expected_return - volatility**2 / 2) * years
    scale = volatility * np.sqrt(years)
    losses = simulate_losses(values, drift, scale, root, simulations, seed)
    value_at_risk, expected_shortfall = tail(losses, confidence_level)
    return {
        "var_amount": value_at_risk,
        "expected_shortfall": expected_shortfall,
        "portfolio_value": float(values.sum()),
        "confidence_level": confidence_level,
        "time_horizon": time_horizon,
        "simulations": simulations,
        "seed": seed,
    }


def check_tail(confidence_level: float, simulations: int) -> None:
    """Raise ValueError when fewer than one of the losses is expected beyond the value at risk."""
    if tail_count(confidence_level, simulations) < 1:
        raise ValueError(f"{simulations} simulations are too few to see a tail of {1 - confidence_level:.4g}")


def tail_count(confidence_level: float, simulations: int) -> float:
    """Return how many losses make up the tail, free of the rounding error of 1 - confidence_level."""
    return round((1 - confidence_level) * simulations, 6)


def simulate_losses(values: Floats, drift: Floats, scale: Floats, root: Floats, simulations: int, seed: int) -> Floats:
    """Draw `simulations` losses of a portfolio of n positions, about 100,000 normals at a time.

    `values`, `drift` and `scale` have shape (n,), `root` has shape (n, n), the losses have shape
    (simulations,).
    """
    random = np.random.default_rng(seed)
    losses = np.empty(simulations)
    scaled_root = root * scale
    paths = max(1, CHUNK // values.size)
    for start in range(0, simulations, paths):
        chunk = losses[start : start + paths]
        returns = random.standard_normal((chunk.size, values.size)) @ scaled_root
        returns += drift
        np.matmul(np.expm1(returns, out=returns), -values, out=chunk)
    return losses


def tail(losses: Floats, confidence_level: float) -> tuple[float, float]:
    """Return value at risk and expected shortfall of a sample of losses.

    With k = (1 - confidence_level) x number of losses, value at risk is the loss that floor(k) losses come
    before, and expected shortfall is the mean of the k worst, the last one counted by the fraction that k
    leaves over.
    """
    count = tail_count(confidence_level, losses.size)
    whole = int(count)
    first = losses.size - whole - 1
    worst_first = np.sort(np.partition(losses, first)[first:])[::-1]  # sorting all would take most of the time
    value_at_risk = float(worst_first[whole])
    total = float(worst_first[:whole].sum()) + (count - whole) * value_at_risk
    return value_at_risk, total / count


def position_values(positions: list[dict[str, Any]]) -> Floats:
    """Return quantity x price of each position, shape (n,).

    Raises:
        ValueError: there is no position, or a number is out of its range.
    """
    if not positions:
        raise ValueError("positions must hold at least one position")
    quantity = np.array([position["quantity"] for position in positions], dtype=float)
    price = np.array([position["price"] for position in positions], dtype=float)
    if not (np.all(np.isfinite(quantity)) and np.all(quantity != 0)):
        raise ValueError("every quantity must be finite and not 0")
    if not (np.all(np.isfinite(price)) and np.all(price > 0)):
        raise ValueError("every price must be finite and positive")
    values: Floats = quantity * price
    return values


def check_rates(volatility: Floats, expected_return: Floats) -> None:
    """Raise ValueError when a rate is not finite or a volatility is negative."""
    if not (np.all(np.isfinite(volatility)) and np.all(volatility >= 0)):
        raise ValueError("every volatility must be finite and not negative")
    if not np.all(np.isfinite(expected_return)):
        raise ValueError("every expected_return must be finite")


def correlation_matrix(correlation: list[list[float]] | None, size: int) -> Floats:
    """Return `correlation` as an array of shape (size, size), the identity when None.

    Raises:
        ValueError: the matrix is not square of that size, has an entry outside [-1, 1], is not symmetric, has
            a diagonal entry other than 1, or is not positive semi-definite (no random numbers can be
            correlated like that).
    """
    if correlation is None:
        return np.eye(size)
    if len(correlation) != size or any(len(row) != size for row in correlation):
        raise ValueError(f"correlation must have {size} rows of {size} numbers")
    matrix = np.array(correlation, dtype=float)
    if not np.all(np.abs(matrix) <= 1):
        raise ValueError("every correlation must lie in [-1, 1]")
    if not np.allclose(matrix, matrix.T, rtol=0, atol=TOLERANCE):
        raise ValueError("correlation must be symmetric")
    if not np.allclose(np.diag(matrix), 1, rtol=0, atol=TOLERANCE):
        raise ValueError("correlation must have ones on its diagonal")
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest < -TOLERANCE:
        raise ValueError(f"correlation must be positive semi-definite, but has the eigenvalue {smallest:.3g}")
    return matrix


def correlation_root(matrix: Floats) -> Floats:
    """Return the symmetric matrix R with R R = `matrix` that has no negative eigenvalue.

    Cholesky's factor exists for a positive definite matrix only; this root exists also when some eigenvalues
    are 0, as when two positions move as one.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(matrix)
    root: Floats = eigenvectors * np.sqrt(np.maximum(eigenvalues, 0)) @ eigenvectors.T
    return root


def new_seed() -> int:
    """Draw a seed from the operating system, small enough to be exact in any JSON reader."""
    return secrets.randbits(32)
