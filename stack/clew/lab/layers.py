"""The lines of a layer's file that decide about the ID, as a notebook shows them."""

from __future__ import annotations

from clew import ladder
from clew.core.errors import ClewError
from clew.show.display import Source


def layer_of(hop: str, example: str) -> ladder.Layer:
    """Return the layer of that name; `example` is a call that would work.

    Raises:
        ClewError: there is no such layer.
    """
    layer = next((layer for layer in ladder.LAYERS if layer.hop == hop), None)
    if layer is None:
        raise ClewError(f"There is no layer {hop!r}; the five are {', '.join(ladder.HOPS)}.", example)
    return layer


def source(number: int, hop: str) -> Source:
    """Show the lines of a layer's file on a stage that pass the ID on or lose it, with the cause or the fix in words.

    Raises:
        ClewError: there is no such layer.
    """
    layer = layer_of(hop, 'stage.source("nginx")')
    this = ladder.stage(number)
    lines = (this.folder / layer.file).read_text().splitlines()
    anchor = ladder.cause_line(this.folder / layer.file, layer)
    fixed = this.mix[ladder.LAYERS.index(layer)] == "1"
    changed = set(ladder.changed_lines(layer, fixed)) or {anchor}
    first, last = max(1, min(changed | {anchor}) - 3), min(len(lines), max(min(changed) + 12, anchor) + 3)
    while not lines[first - 1].strip():
        first += 1
    return Source(
        f"stages/{this.slug}/{layer.file}",
        first,
        lines[first - 1 : last],
        changed,
        fixed,
        f"Fix: {layer.fix}" if fixed else f"Cause: {layer.cause}",
    )
