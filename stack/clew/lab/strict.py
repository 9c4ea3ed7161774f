"""Strict layers: the same five fixes without the `**_` that swallows what a layer does not know, and what they must do.

A sender that is fixed before its receiver breaks it. `receivers.py` tries that on a stack.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clew import ladder
from clew.core.errors import ClewError


@dataclass(frozen=True)
class Outcome:
    """What one request did while the layers of `mix` were fixed, `fixed` being the latest; `task` is None when no task
    was created."""

    mix: str
    fixed: str
    status_code: int
    task: str | None
    error: str | None

    @property
    def as_expected(self) -> bool:
        return (self.status_code, self.task) == expected(self.mix)


def strict(text: str) -> str:
    """Return a layer's source without the `**_` that takes what the layer does not know."""
    return re.sub(r",\s*\*\*_(: Any)?", "", text)


def strict_diff(layer: ladder.Layer, fixed: bool = False) -> list[str]:
    """Return what `strict` changes in a layer's file, as a unified diff."""
    text = ladder.source(layer, fixed).read_text()
    names = (f"{layer.file} (tolerant)", f"{layer.file} (strict)")
    return list(difflib.unified_diff(text.splitlines(), strict(text).splitlines(), *names, lineterm="", n=2))


def write(mix: str, folder: Path) -> None:
    """Make `folder` a runnable stage with the strict layers of `mix`."""
    ladder.write_mix(mix, folder, 8)
    for layer in ladder.LAYERS:
        path = folder / layer.file
        path.write_text(strict(path.read_text()))


def mixes(order: Sequence[str]) -> list[str]:
    """Return the mixes of a rollout: nothing fixed, then one more layer at a time in this order.

    Raises:
        ClewError: the order does not name each of the five layers once.
    """
    if sorted(order) != sorted(ladder.HOPS):
        raise ClewError(
            f"An order names each layer once: {', '.join(ladder.HOPS)}.", "correct the cell and run it again"
        )
    steps = [set(order[:count]) for count in range(len(order) + 1)]
    return ["".join("1" if hop in step else "0" for hop in ladder.HOPS) for step in steps]


def expected(mix: str) -> tuple[int, str | None]:
    """Return the answer's status code and the task's final state on a mix of strict layers.

    The routes and the task service, once fixed, always pass the argument; the queue service only when it has an ID.
    """
    _, routes, task_service, queue_service, worker = (fixed == "1" for fixed in ladder.checked_mix(mix))
    if (routes and not task_service) or (task_service and not queue_service):
        return 500, None
    return 201, "FAILURE" if routes and queue_service and not worker else "SUCCESS"
