"""Stress test: what would this portfolio gain or lose if a known crash, or an imagined one, came tomorrow?"""

from __future__ import annotations

import math
from typing import Any

from taskqueue.risk.var import position_values

HISTORICAL_SCENARIOS: list[dict[str, Any]] = [
    {
        "name": "Black Monday 1987",
        "shock": -0.205,
        "start": "1987-10-16",
        "end": "1987-10-19",
        "start_level": 282.70,
        "end_level": 224.84,
        "source": "S&P 500 closing levels; CNNfn, The blackest of Mondays, 13 October 1997",
    },
    {
        "name": "Dot-com bust 2000-2002",
        "shock": -0.491,
        "start": "2000-03-24",
        "end": "2002-10-09",
        "start_level": 1527.46,
        "end_level": 776.76,
        "source": "S&P 500 closing levels; BusinessWeek, Breaking the 20% threshold, 11 July 2008",
    },
    {
        "name": "Global financial crisis 2007-2009",
        "shock": -0.568,
        "start": "2007-10-09",
        "end": "2009-03-09",
        "start_level": 1565.15,
        "end_level": 676.53,
        "source": "S&P 500 closing levels; Wikipedia, Closing milestones of the S&P 500",
    },
    {
        "name": "Covid-19 2020",
        "shock": -0.339,
        "start": "2020-02-19",
        "end": "2020-03-23",
        "start_level": 3386.15,
        "end_level": 2237.40,
        "source": "S&P 500 closing levels; Ned Davis Research, S&P 500 Index declines of 20% or more, 2023",
    },
]


def stress_test(portfolio_data: dict[str, Any], scenarios: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Revalue a portfolio at once under each historical scenario and under those the caller adds.

    Position i of value q_i p_i gains q_i p_i x_i when its price moves by the fraction x_i: a short position
    gains when prices fall. The historical scenarios move every position like the S&P 500 (a beta of 1),
    closing level to closing level, without dividends.

    Args:
        portfolio_data: `positions`, dicts of `symbol`, `quantity` (units, negative when short) and `price`
            (per unit); what else a position holds plays no part.
        scenarios: dicts of `name` and `shock` (the fraction every price moves by), `shocks` (a fraction per
            symbol) or both: a symbol's own shock goes before the common one, and without either a price
            stays.

    Returns:
        `portfolio_value`; `scenarios`, each with its `pnl`, the `positions` it comes from (profit and loss
        per symbol) and its `kind` ("historical" or "hypothetical"); `worst`, the `name`, `kind` and `pnl` of
        the one that ends lowest. All amounts are in the currency of the prices.

    Raises:
        ValueError: a number out of its range, no position, a symbol given twice, a shock of -1 or less, a
            scenario without a shock, or with a shock for a symbol that the portfolio does not hold.

    Source:
        Basel Committee on Banking Supervision, Stress testing principles (2018); each scenario names its own.
    """
    positions = portfolio_data["positions"]
    symbols = [position["symbol"] for position in positions]
    values = dict(zip(symbols, position_values(positions).tolist(), strict=True))
    if len(values) < len(symbols):
        raise ValueError("every symbol must occur once")
    results = [{**apply(scenario, values), "kind": "historical"} for scenario in HISTORICAL_SCENARIOS]
    results += [{**apply(scenario, values), "kind": "hypothetical"} for scenario in scenarios or []]
    worst = min(results, key=lambda result: float(result["pnl"]))
    return {
        "portfolio_value": sum(values.values()),
        "scenarios": results,
        "worst": {name: worst[name] for name in ("name", "kind", "pnl")},
    }


def apply(scenario: dict[str, Any], values: dict[str, float]) -> dict[str, Any]:
    """Return the scenario with its profit and loss, in all and per symbol of `values`."""
    name, shock, shocks = scenario["name"], scenario.get("shock"), scenario.get("shocks") or {}
    if shock is None and not shocks:
        raise ValueError(f"{name} needs a shock or shocks")
    if unknown := sorted(shocks.keys() - values.keys()):
        raise ValueError(f"{name} has a shock for {', '.join(unknown)}, which the portfolio does not hold")
    common = 0.0 if shock is None else shock
    if not all(math.isfinite(move) and move > -1 for move in (common, *shocks.values())):
        raise ValueError(f"every shock of {name} must be finite and above -1")
    positions = {symbol: value * shocks.get(symbol, common) for symbol, value in values.items()}
    return {**scenario, "pnl": sum(positions.values()), "positions": positions}
