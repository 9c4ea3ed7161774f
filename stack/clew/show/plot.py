"""Plots as SVG: panels below each other over one axis of seconds. Colours are those of the page, or carry a shape too.

What is returned is `Markup`, with every argument escaped (see svg.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from clew.core.marks import COLOURS

WIDTH, LEFT, RIGHT = 820, 104, 12
TITLE, GAP, AXIS = 24, 14, 40
Points = Sequence[tuple[float, float]]
CSS = f"""
.clew .plot {{display:block; width:100%; max-width:{WIDTH}px; height:auto; overflow:visible}}
.clew .plot text {{fill:currentColor; font-size:12px}}
.clew .plot .title {{font-weight:700}}
.clew .plot .left {{text-anchor:end}}
.clew .plot .middle {{text-anchor:middle}}
.clew .plot .grid {{stroke:currentColor; stroke-width:1; opacity:.25}}
.clew .plot .limit {{stroke:{COLOURS["missing"]}; stroke-width:1.5; stroke-dasharray:6 4}}
.clew .plot .area {{fill:{COLOURS["kept"]}; fill-opacity:.25; stroke:{COLOURS["kept"]}; stroke-width:1.5}}
.clew .plot .dot {{fill:{COLOURS["kept"]}}}
.clew .plot .refused {{fill:none; stroke:{COLOURS["missing"]}; stroke-width:2}}
.clew .plot .run {{fill:{COLOURS["kept"]}}}
.clew .plot .waits {{fill:currentColor; opacity:.3}}
.clew .plot .cut {{fill:none; stroke:{COLOURS["missing"]}; stroke-width:1.5}}
.clew .plot .cross {{fill:none; stroke:{COLOURS["missing"]}; stroke-width:2.5}}
.clew .plot .closed {{fill:{COLOURS["kept"]}; opacity:.55}}
.clew .plot .open {{fill:{COLOURS["missing"]}; opacity:.75}}
.clew .plot .half-open {{fill:{COLOURS["replaced"]}; opacity:.8}}
"""


@dataclass(frozen=True)
class Segment:
    """Part of a row, from `begin` to `end` in seconds; `kind` is run, waits, cut, or a state of the breaker."""

    begin: float
    end: float
    kind: str = "run"


@dataclass(frozen=True)
class Axis:
    """The axis of seconds, from 0 to `seconds`; `right` is where it ends."""

    seconds: float
    right: float

    def __call__(self, second: float) -> float:
        """Return the x of a moment."""
        return LEFT + max(0.0, min(second / self.seconds, 1.0)) * (self.right - LEFT)


@dataclass(frozen=True)
class Panel:
    """A part of a plot, `height` high; `draw` gets the axis and the panel's upper edge."""

    title: str
    height: float
    draw: Callable[[Axis, float], Markup]


def figure(seconds: float, panels: Sequence[Panel], told: str, width: float = WIDTH) -> Markup:
    """Return panels below each other, from 0 to `seconds`; `told` says in words what there is to see."""
    x_of = Axis(seconds, width - RIGHT)
    parts = []
    top = 0.0
    for panel in panels:
        parts.append(Markup('<text class="title" x="0" y="{:g}">{}</text>').format(top + 13, panel.title))
        parts.append(panel.draw(x_of, top + TITLE))
        top += TITLE + panel.height + GAP
    parts.append(_axis(x_of, top - GAP))
    return Markup('<svg class="plot" viewBox="0 0 {} {:g}" role="img" aria-label="{}">{}</svg>').format(
        width, top - GAP + AXIS, told, _joined(parts)
    )


def _axis(x_of: Axis, y: float) -> Markup:
    step = next(nice for nice in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if x_of.seconds / nice <= 12)
    ticks = [step * n for n in range(int(x_of.seconds / step) + 1)]
    parts = [Markup('<path class="grid" d="M{} {:g}H{:g}"/>').format(LEFT, y + 4, x_of.right)]
    parts += [Markup('<text class="middle" x="{:.1f}" y="{:g}">{:g}</text>').format(x_of(t), y + 18, t) for t in ticks]
    parts.append(
        Markup('<text class="middle" x="{:g}" y="{:g}">seconds</text>').format((LEFT + x_of.right) / 2, y + 34)
    )
    return _joined(parts)


def area(title: str, points: Points, height: float = 90, limits: Sequence[float] = ()) -> Panel:
    """Return a number over time as an area of steps, with a dashed line at each of `limits`."""
    most = max([1.0, *(value for _, value in points), *limits])

    def draw(x_of: Axis, top: float) -> Markup:
        bottom = top + height

        def y_of(value: float) -> float:
            return bottom - value / most * height

        parts = [scale(x_of, most, top, bottom)]
        if points:
            steps = "".join(f"H{x_of(at):.1f}V{y_of(value):.1f}" for at, value in points)
            first, last = x_of(points[0][0]), x_of(points[-1][0])
            parts.append(Markup('<path class="area" d="M{:.1f} {:g}{}H{:.1f}V{:g}"/>').format(
                first, bottom, steps, last, bottom
            ))  # fmt: skip
        for limit in limits:
            parts.append(
                Markup(
                    '<path class="limit" d="M{0} {1:.1f}H{2}"/><text class="left" x="{3}" y="{4:.1f}">{5:g}</text>'
                ).format(LEFT, y_of(limit), x_of.right, LEFT - 6, y_of(limit) + 4, limit)
                if limit != most
                else Markup('<path class="limit" d="M{0} {1:.1f}H{2}"/>').format(LEFT, y_of(limit), x_of.right)
            )
        return _joined(parts)

    return Panel(title, height, draw)


def dots(title: str, points: Points, most: float, height: float = 70, unit: str = "") -> Panel:
    """Return a dot for each pair of seconds and a value, on a scale from 0 to `most`."""

    def draw(x_of: Axis, top: float) -> Markup:
        bottom = top + height
        parts = [scale(x_of, most, top, bottom, unit)]
        parts += [
            Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="2"/>').format(
                x_of(at), bottom - min(value / most, 1.0) * height
            )
            for at, value in points
        ]
        return _joined(parts)

    return Panel(title, height, draw)


def rows(title: str, labelled: Sequence[tuple[str, Sequence[Sequence[Segment]]]], row: float = 8) -> Panel:
    """Return groups of rows of segments; each group has a label on its left. A row is `row` high."""
    gap = 6.0
    heights = [max(len(group) * row, 12.0) for _, group in labelled]
    height = sum(heights) + gap * max(0, len(labelled) - 1)

    def draw(x_of: Axis, top: float) -> Markup:
        parts = []
        for (label, group), high in zip(labelled, heights, strict=True):
            parts.append(
                Markup('<text class="left" x="{}" y="{:g}">{}</text>').format(LEFT - 6, top + high / 2 + 4, label)
            )
            for number, segments in enumerate(group):
                parts += [_bar(segment, x_of, top + number * row, row) for segment in segments]
            top += high + gap
        return _joined(parts)

    return Panel(title, height, draw)


def _bar(segment: Segment, x_of: Axis, y: float, row: float) -> Markup:
    high = row * (0.3 if segment.kind == "waits" else 0.8)
    x, width = x_of(segment.begin), max(1.5, x_of(segment.end) - x_of(segment.begin))
    bar = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        segment.kind, x, y + (row - high) / 2, width, high
    )
    if segment.kind != "cut":
        return bar
    middle, end, arm = y + row / 2, x + width, 5
    cross = Markup('<path class="cross" d="M{0:.1f} {2:.1f}L{1:.1f} {3:.1f}M{0:.1f} {3:.1f}L{1:.1f} {2:.1f}"/>')
    return bar + cross.format(end - arm, end + arm, middle - arm, middle + arm)


def notes(title: str, labelled: Iterable[tuple[float, str, bool]]) -> Panel:
    """Return words at moments, each on a line of its own: what was done, and whether it was accepted."""
    lines = list(labelled)

    def draw(x_of: Axis, top: float) -> Markup:
        parts = []
        for number, (at, words, good) in enumerate(lines):
            x, y = x_of(at), top + 16 * number + 8
            left = x > x_of.right * 0.6
            parts.append(
                Markup('<circle class="{}" cx="{:.1f}" cy="{:g}" r="4"/><text{} x="{:.1f}" y="{:g}">{}</text>').format(
                    "dot" if good else "refused", x, y, Markup(' class="left"') if left else "",
                    x - 9 if left else x + 9, y + 4, words,
                )
            )  # fmt: skip
        return _joined(parts)

    return Panel(title, 16 * len(lines), draw)


def in_parallel(segments: Iterable[Segment]) -> list[list[Segment]]:
    """Return segments in as few rows as they need so that none overlaps another of its row."""
    found: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda one: one.begin):
        free = next((row for row in found if row[-1].end <= segment.begin), None)
        if free is None:
            found.append([segment])
        else:
            free.append(segment)
    return found


def scale(x_of: Axis, most: float, top: float, bottom: float, unit: str = "") -> Markup:
    """Return the grid lines of a scale from 0 to `most` with their numbers."""
    suffix = f" {unit}" if unit else ""
    return Markup(
        '<path class="grid" d="M{0} {1:g}H{2}M{0} {3:g}H{2}"/><text class="left" x="{4}" y="{5:g}">{6:g}{7}</text>'
        '<text class="left" x="{4}" y="{8:g}">0</text>'
    ).format(LEFT, top, x_of.right, bottom, LEFT - 6, top + 4, most, suffix, bottom + 4)


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)
