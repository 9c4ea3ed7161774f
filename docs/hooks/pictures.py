"""The pictures: a thread through five beads, cut where the ID is lost. CSS gives shape and colour by `data-verdict`."""

from __future__ import annotations

from collections.abc import Sequence

from clew import ladder

GAP = 92
FIRST = 84
Y = 26


def bead(x: float, y: float, verdict: str, size: float = 7, name: str = "") -> str:
    """Return a bead with all three shapes; CSS shows the one of its verdict."""
    d = size * 1.25
    return (
        f'<g class="bead" data-verdict="{verdict}"{f" data-hop={name!r}" if name else ""} '
        f'transform="translate({x:g} {y:g})">'
        f'<circle class="hole" r="{size + 2:g}"/><circle class="kept" r="{size:g}"/>'
        f'<path class="replaced" d="M0 {-d:g}L{d:g} 0 0 {d:g} {-d:g} 0Z"/>'
        f'<circle class="missing" r="{size - 1:g}"/></g>'
    )


def thread(path: str, carried: str, name: str = "") -> str:
    """Return a piece of thread; `carried` is kept, replaced or missing: what it brings to its end."""
    return f'<path class="thread" data-verdict="{carried}"{f" data-into={name!r}" if name else ""} d="{path}"/>'


def ball(x: float, y: float, r: float) -> str:
    """Return the clew itself, the ball of thread."""
    turns = "".join(
        f'<path d="M{-r * a:.1f} {r * b:.1f}Q{r * c:.1f} {r * d:.1f} {r * a:.1f} {-r * b:.1f}"/>'
        for a, b, c, d in ((0.86, 0.5, -0.15, -0.55), (0.97, 0.15, 0.05, -0.1), (0.86, 0.5, 0.35, 0.5))
    )
    return f'<g class="ball" transform="translate({x:g} {y:g})"><circle r="{r:g}"/>{turns}</g>'


def frayed(x: float, y: float) -> str:
    """Return the loose end before the bead where the thread is cut."""
    return f'<path class="frayed" d="M{x} {y}h6q5 0 8 -6M{x + 6} {y}q5 0 10 -2M{x + 6} {y}q4 1 7 7"/>'


def in_words(verdicts: Sequence[str]) -> str:
    """Return the verdicts of a trail as a sentence."""
    return ", ".join(f"{hop} {verdict}" for hop, verdict in zip(ladder.HOPS, verdicts, strict=True)) + "."


def told(verdicts: Sequence[str]) -> str:
    """Return a trail in words, and where it ends."""
    lost = next((hop for hop, verdict in zip(ladder.HOPS, verdicts, strict=True) if verdict != "kept"), None)
    return f"{in_words(verdicts)} The trail {f'ends in {lost}' if lost else 'reaches the worker'}."


def trail(verdicts: Sequence[str], labels: bool = True) -> str:
    """Return the thread with its five beads as inline SVG."""
    xs = [FIRST + GAP * n for n in range(len(verdicts))]
    lost = next((n for n, verdict in enumerate(verdicts) if verdict != "kept"), len(xs))
    parts = []
    for n, end in enumerate(xs):
        start = 34 if n == 0 else xs[n - 1]
        stop = end - 28 if n == lost else end
        carried = "kept" if n == 0 else verdicts[n - 1]
        parts.append(thread(f"M{start} {Y}Q{(start + stop) / 2:g} {Y + (5 if n % 2 else -5)} {stop} {Y}", carried))
    if lost < len(xs):
        parts.append(frayed(xs[lost] - 28, Y))
    parts += [bead(bead_x, Y, verdict) for bead_x, verdict in zip(xs, verdicts, strict=True)]
    if labels:
        parts += [f'<text x="{bead_x}" y="{Y + 26}">{hop}</text>' for bead_x, hop in zip(xs, ladder.HOPS, strict=True)]
    height = 60 if labels else 52
    return (
        f'<svg class="trail" viewBox="0 0 500 {height}" role="img" aria-label="{told(verdicts)}">'
        f"{ball(20, Y, 14)}{''.join(parts)}</svg>"
    )
