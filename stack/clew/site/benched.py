"""The recorded measurements on a page: a table of ratios with their goals, and a picture of how they vary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from clew.core.errors import ClewError

RESULTS = Path(__file__).parent / "benches"
NAMES = ("post", "ids", "lines", "stages", "ledger", "metrics", "nginx", "spike", "logs", "var", "up")
WIDTH, LEFT, RIGHT, ROW, AXIS = 820, 250, 60, 26, 24


def load(name: str) -> dict[str, Any] | None:
    """Return a recorded measurement; None when there is none yet.

    Raises:
        ClewError: there is no such measurement, or its file is not one.
    """
    if name not in NAMES:
        raise ClewError(f"There is no measurement {name!r}.", f"choose one of {', '.join(NAMES)}")
    file = RESULTS / f"{name}.json"
    if not file.exists():
        return None
    try:
        result: dict[str, Any] = json.loads(file.read_text())
        if result["name"] == name and result["ratios"]:
            return result
    except (ValueError, KeyError, TypeError):
        pass
    raise ClewError(f"The recorded measurement {file.name} is broken.", f"make bench NAME={name} RECORD=1")


def table() -> str:
    """Return each measurement's ratios with the goals, how far chance reaches, and when it was recorded."""
    rows = [
        "| `make bench NAME=` | ratio | median | half of the rounds | goal | the same twice | run |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in NAMES:
        result = load(name)
        if result is None:
            rows.append(f"| `{name}` | not recorded yet | | | | | |")
            continue
        machine = result["machine"]
        run = f"{result['day']}, {result['rounds']} rounds, {machine['processors']} CPUs, load {machine['load_before']}"
        for number, one in enumerate(result["ratios"]):
            missed = one["goal"] is not None and one["median"] > one["goal"]
            median = f"**{one['median']:.2f}**" + (" (missed)" if missed else "")
            cells = [
                f"`{name}`" if number == 0 else "",
                one["name"],
                median,
                f"{one['low']:.2f} to {one['high']:.2f}",
                f"≤ {one['goal']:g}" if one["goal"] is not None else "",
                f"{result['chance']:.3f}" if number == 0 else "",
                run if number == 0 else "",
            ]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def figures(name: str) -> str:
    """Return a measurement's figures and facts as a list, and its ratios as a picture."""
    result = load(name)
    if result is None:
        return f"Not recorded yet: `make bench NAME={name} RECORD=1`."
    items = [f"- {variant}: {_digits(value)} {result['unit']}" for variant, value in result["figures"].items()]
    for fact, value in result["facts"].items():
        goal = f" (goal ≤ {result['most'][fact]:g})" if fact in result["most"] else ""
        items.append(f"- {fact}: {value if isinstance(value, str) else _digits(value)}{goal}")
    return "\n".join([*items, "", f'<div class="clew">{picture(result)}</div>'])


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def picture(result: dict[str, Any]) -> Markup:
    """Return the ratios as SVG: a dot at the median, a bar over half of the rounds, a dashed line at the goal."""
    ratios = result["ratios"]
    most = max(1.2, *(max(one["high"], one["goal"] or 0) for one in ratios)) * 1.05
    bottom = ROW * len(ratios) + 4

    def x_of(value: float) -> float:
        return float(LEFT + value / most * (WIDTH - LEFT - RIGHT))

    step = next(nice for nice in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if most / nice <= 10)
    parts = [
        Markup('<path class="grid" d="M{0:.1f} 0V{1}"/><text class="middle" x="{0:.1f}" y="{2}">{3:g}</text>').format(
            x_of(step * n), bottom, bottom + 16, round(step * n, 1)
        )
        for n in range(int(most / step) + 1)
    ]
    for number, one in enumerate(ratios):
        y = ROW * number + ROW / 2
        parts.append(Markup('<text class="left" x="{}" y="{}">{}</text>').format(LEFT - 8, y + 4, one["name"]))
        parts.append(Markup('<rect class="run" x="{:.1f}" y="{}" width="{:.1f}" height="6" opacity=".4"/>').format(
            x_of(one["low"]), y - 3, max(1.0, x_of(one["high"]) - x_of(one["low"]))
        ))  # fmt: skip
        parts.append(Markup('<circle class="dot" cx="{:.1f}" cy="{}" r="5"/>').format(x_of(one["median"]), y))
        if one["goal"] is not None:
            parts.append(Markup('<path class="limit" d="M{:.1f} {}v{}"/>').format(x_of(one["goal"]), y - 11, 22))
    told = "; ".join(f"{one['name']}: {one['median']:.2f}" for one in ratios)
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, bottom + AXIS, told, Markup("").join(parts)
    )
