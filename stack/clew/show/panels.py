"""The panels of the Grafana dashboard as pictures, drawn from a recorded run of `make alerts`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clew.core.marks import COLOURS
from clew.monitor.dashboard import PANELS
from clew.monitor.recorded import STEP_SECONDS
from clew.show import plot

WIDTH, HEIGHT = 380, 110
COLUMNS, ROW, NUMBERS = 2, 17, 16  # of the legend, and the height of the moments' numbers
GAP_SECONDS = 1.5 * STEP_SECONDS  # without a value for longer, a line has a gap
LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # of Okabe and Ito's palette
DASHES = ("none", "8 3", "2 3")
UNITS = {"reqps": (1, "/s"), "ops": (1, "/s"), "percentunit": (100, "%"), "s": (1, "s"), "bytes": (2**-20, "MiB")}
CSS = "\n".join([
    ".clew .panels {display:grid; gap:18px; grid-template-columns:repeat(auto-fit, minmax(min(100%, 300px), 1fr))}",
    ".clew .plot .series {fill:none; stroke-width:2}",
    f".clew .plot .moment {{stroke:{COLOURS['missing']}; stroke-width:1; stroke-dasharray:3 3}}",
    *(f".clew .plot .colour-{number} {{stroke:{colour}}}" for number, colour in enumerate(LINES)),
    *(f".clew .plot .dash-{number} {{stroke-dasharray:{dash}}}" for number, dash in enumerate(DASHES)),
])  # fmt: skip


def pictures(run: Mapping[str, Any]) -> Markup:
    """Return a picture of each panel as HTML, with the styles; `run` is what `monitor.recorded.load` returns."""
    drawn = Markup("").join(picture(title, unit, run) for title, unit, _ in PANELS)
    style = Markup(plot.CSS + CSS)  # noqa: S704 - ours
    return Markup('<style>{}</style><div class="clew"><div class="panels">{}</div></div>').format(style, drawn)


def picture(title: str, unit: str, run: Mapping[str, Any]) -> Markup:
    """Return the picture of one panel; each moment of the run is a numbered line."""
    factor, suffix = UNITS.get(unit, (1, ""))
    series = [(legend, [(at, value * factor) for at, value in points]) for legend, points in run["panels"][title]]
    lasts = [f"{legend} {_number(points[-1][1])}{' ' * bool(suffix)}{suffix}" for legend, points in series]
    told = f"{title}, at the end: {', '.join(lasts)}."
    end = max(at for _, points in series for at, _ in points)
    panel = lines(title, series, suffix, [at for _, at in run["moments"]])
    return plot.figure(max(end, *(at for _, at in run["moments"])), [panel], told, WIDTH)


def lines(title: str, series: Sequence[tuple[str, plot.Points]], unit: str, moments: Sequence[float]) -> plot.Panel:
    """Return numbers over time as lines, with a legend above; a dashed vertical line at each of `moments`."""
    most = ceiling(max(value for _, points in series for _, value in points))
    rows = math.ceil(len(series) / COLUMNS)

    def draw(x_of: plot.Axis, above: float) -> Markup:
        top = above + ROW * rows + NUMBERS
        bottom = top + HEIGHT
        parts = [plot.scale(x_of, most, top, bottom, unit)]
        for number, at in enumerate(moments, 1):
            parts.append(Markup(
                '<path class="moment" d="M{0:.1f} {1:g}V{2:g}"/><text class="middle" x="{0:.1f}" y="{3:g}">{4}</text>'
            ).format(x_of(at), top, bottom, top - 4, number))  # fmt: skip
        for number, (legend, points) in enumerate(series):
            kind = f"series colour-{number % len(LINES)} dash-{(number + number // len(LINES)) % len(DASHES)}"
            path = "".join(
                f"{'L' if at - before <= GAP_SECONDS else 'M'}{x_of(at):.1f} {bottom - value / most * HEIGHT:.1f}"
                for before, (at, value) in zip([-math.inf, *(at for at, _ in points)], points, strict=False)
            )
            x, y = x_of.right / COLUMNS * (number % COLUMNS), above + ROW * (number // COLUMNS) + 12
            parts.append(Markup('<path class="{0}" d="{1}"/><path class="{0}" d="M{2:g} {3:g}h26"/>').format(
                kind, path, x, y - 4
            ))  # fmt: skip
            parts.append(Markup('<text x="{:g}" y="{:g}">{}</text>').format(x + 32, y, legend))
        return Markup("").join(parts)

    return plot.Panel(title, ROW * rows + NUMBERS + HEIGHT, draw)


def ceiling(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, … (and 0.5, 0.2, …) that a value does not exceed; 1 for nothing."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(float(f"{nice * power:g}") for nice in (1, 2, 5, 10) if value <= nice * power * 1.000001)


def _number(value: float) -> str:
    return f"{value:.3g}"
