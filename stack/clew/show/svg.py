"""The pictures, as SVG: a thread through five beads, cut where the ID is lost, and the bars of a timeline.

CSS gives beads and threads shape and colour by `data-verdict`: the site has rules of its own, `CSS` is for the
notebooks. What is returned is `Markup`, with every argument escaped: put it into Jinja templates, f-strings or
`"".join`; `+` with a plain string would escape that string.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from clew import ladder
from clew.core.marks import COLOURS
from clew.evidence.timeline import Span
from clew.show.trail import described

KEPT, REPLACED, MISSING, UNKNOWN = (COLOURS[verdict] for verdict in ("kept", "replaced", "missing", "unknown"))
CSS = f"""
.clew .trail {{display:block; width:100%; overflow:visible}}
.clew .trail text {{fill:currentColor; font-size:12px; text-anchor:middle}}
.clew .ball circle {{fill:{KEPT}}}
.clew .ball path {{fill:none; stroke:var(--jp-layout-color0, Canvas); stroke-width:2; stroke-linecap:round}}
.clew :is(.thread, .frayed) {{fill:none; stroke:currentColor; stroke-width:2; stroke-linecap:round}}
.clew .thread {{stroke-dasharray:1 6}}
.clew .thread[data-verdict=kept] {{stroke:{KEPT}; stroke-width:3; stroke-dasharray:none}}
.clew .thread[data-verdict=replaced] {{stroke:{REPLACED}; stroke-width:3; stroke-dasharray:9 6}}
.clew .frayed[data-verdict=kept] {{stroke:{KEPT}}}
.clew .frayed[data-verdict=replaced] {{stroke:{REPLACED}}}
.clew .bead > * {{display:none}}
.clew .bead .hole {{display:block; fill:var(--jp-layout-color0, Canvas)}}
.clew .bead[data-verdict=kept] .kept {{display:block; fill:{KEPT}}}
.clew .bead[data-verdict=replaced] .replaced {{display:block; fill:{REPLACED}}}
.clew .bead .missing {{fill:none; stroke:{MISSING}; stroke-width:3}}
.clew .bead:is([data-verdict=missing], [data-verdict=unknown]) .missing {{display:block}}
.clew .bead[data-verdict=unknown] .missing {{stroke:{UNKNOWN}; stroke-dasharray:3 3}}
"""


def bead(x: float, y: float, verdict: str, size: float = 7, hop: str = "", service: str = "") -> Markup:
    """Return a bead with all three shapes; CSS shows the one of its verdict."""
    d = size * 1.25
    names = Markup("").join(
        Markup(' data-{}="{}"').format(name, value) for name, value in (("hop", hop), ("service", service)) if value
    )
    return Markup(
        '<g class="bead" data-verdict="{}"{} transform="translate({:g} {:g})"><circle class="hole" r="{:g}"/>'
        '<circle class="kept" r="{:g}"/><path class="replaced" d="M0 {:g}L{:g} 0 0 {:g} {:g} 0Z"/>'
        '<circle class="missing" r="{:g}"/></g>'
    ).format(verdict, names, x, y, size + 2, size, -d, d, d, -d, size - 1)


def thread(path: str, carried: str, into: str = "") -> Markup:
    """Return a piece of thread; `carried` is the verdict of what it carries, `into` the hop at its end."""
    name = Markup(' data-into="{}"').format(into) if into else ""
    return Markup('<path class="thread" data-verdict="{}"{} d="{}"/>').format(carried, name, path)


def frayed(x: float, y: float, carried: str = "kept") -> Markup:
    """Return the loose end before the bead where the thread is cut."""
    path = f"M{x:g} {y:g}h6q5 0 8 -6M{x + 6:g} {y:g}q5 0 10 -2M{x + 6:g} {y:g}q4 1 7 7"
    return Markup('<path class="frayed" data-verdict="{}" d="{}"/>').format(carried, path)


def ball(x: float, y: float, r: float) -> Markup:
    """Return the clew itself, the ball of thread."""
    turns = Markup("").join(
        Markup('<path d="M{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}"/>').format(
            -r * a, r * b, r * c, r * d, r * a, -r * b
        )
        for a, b, c, d in ((0.86, 0.5, -0.15, -0.55), (0.97, 0.15, 0.05, -0.1), (0.86, 0.5, 0.35, 0.5))
    )
    return Markup('<g class="ball" transform="translate({:g} {:g})"><circle r="{:g}"/>{}</g>').format(x, y, r, turns)


def trail(
    verdicts: Sequence[str], labels: bool = True, start: int = 20, first: int = 84, gap: int = 92, margin: int = 48
) -> Markup:
    """Return the thread from the client's ball through five beads, cut before each bead with another verdict.

    `start` is the ball's place, `first` the first bead's, `gap` the distance to the next one, `margin` the room after
    the last. With `labels` each bead has its hop's name below it.
    """
    y = 26
    xs = [first + gap * n for n in range(len(verdicts))]
    parts: list[Markup] = []
    before = "kept"
    for n, (end, verdict) in enumerate(zip(xs, verdicts, strict=True)):
        begin = start + 14 if n == 0 else xs[n - 1]
        cut = verdict != before and before in ("kept", "replaced")
        stop = end - 28 if cut else end
        parts.append(thread(f"M{begin} {y}Q{(begin + stop) / 2:g} {y + (5 if n % 2 else -5)} {stop} {y}", before))
        if cut:
            parts.append(frayed(stop, y, before))
        before = verdict
    parts += [bead(x, y, verdict) for x, verdict in zip(xs, verdicts, strict=True)]
    if labels:
        names = zip(xs, ladder.HOPS, strict=True)
        parts += [Markup('<text x="{}" y="{}">{}</text>').format(x, y + 26, hop) for x, hop in names]
    size = f"{xs[-1] + margin} {60 if labels else 52}"
    return Markup('<svg class="trail" viewBox="0 0 {}" role="img" aria-label="{}">{}{}</svg>').format(
        size, described(verdicts), ball(start, y, 14), Markup("").join(parts)
    )


def bars(spans: Sequence[Span]) -> Markup:
    """Return a timeline as wide as its page: for each span a line of text and a bar, and below them the axis.

    Places across are percentages and texts have a fixed size, so that it reads the same at any width.
    """
    end = max(span.end for span in spans)
    step = next(nice for nice in _nice_steps() if end / nice <= 5)
    bottom = 34 * len(spans) + 4

    def across(ms: float) -> str:
        return f"{ms / end * 94:.2f}%"  # room for half of the last tick's number

    rows = [
        Markup(
            '<text y="{}"><tspan font-weight="700">{}</tspan> {}, {:.1f} ms</text>'
            '<rect x="{}" y="{}" width="{}" height="10" rx="2" fill="{}"/>'
        ).format(
            34 * row + 13,
            span.where,
            span.what,
            span.end - span.start,
            across(span.start),
            34 * row + 19,
            across(span.end - span.start),
            UNKNOWN if span.where == "Redis" else KEPT,
        )
        for row, span in enumerate(spans)
    ]
    ticks = [step * n for n in range(int(end / step) + 1)]
    rows += [
        Markup('<text x="{}" y="{}" text-anchor="{}">{:g}</text>').format(
            across(tick), bottom + 16, "middle" if tick else "start", tick
        )
        for tick in ticks
    ]
    axis = Markup('<line x2="100%" y1="{0}" y2="{0}" stroke="currentColor"/>').format(bottom)
    told = "; ".join(f"{span.where} {span.what}, from {span.start:.1f} to {span.end:.1f} ms" for span in spans)
    return Markup(
        '<svg class="timeline" role="img" aria-label="Timeline of the request: {}." width="100%" height="{}" '
        'style="max-width:820px" font-size="13" fill="currentColor">{}{}<text y="{}">milliseconds after the client '
        "sent the request</text></svg>"
    ).format(told, bottom + 38, Markup("").join(rows), axis, bottom + 34)


def _nice_steps() -> Iterator[float]:
    """Return 0.1, 0.2, 0.5, 1, 2, 5, 10 and so on."""
    return (digit * 10.0**power for power in itertools.count(-1) for digit in (1, 2, 5))
