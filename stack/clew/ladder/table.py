"""The ladder as data: five layers, six stages, 32 mixes, and the verdict that each hop must have.

A mix is five characters, nginx first: `1` for a fixed layer, `0` for a broken one, `?` for one that was edited. Stage 3
is `11100`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from clew.core.errors import ClewError
from clew.core.paths import STAGES

_DATA = tomllib.loads((Path(__file__).parent / "ladder.toml").read_text())


@dataclass(frozen=True)
class Layer:
    """One of the five places where the ID can be lost; `anchor` is text on the line that loses it, or keeps it."""

    hop: str
    file: str
    symptom: str
    cause: str
    fix: str
    anchor: str


@dataclass(frozen=True)
class Stage:
    """A rung: layers 1 to `number` are fixed."""

    number: int
    slug: str
    title: str
    verdicts: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return STAGES / self.slug

    @property
    def mix(self) -> str:
        return "1" * self.number + "0" * (len(LAYERS) - self.number)


EDITED = "?"
LAYERS = tuple(Layer(**layer) for layer in _DATA["layers"])
HOPS = tuple(layer.hop for layer in LAYERS)
STAGE_LIST = tuple(
    Stage(number, stage["slug"], stage["title"], tuple(stage["verdicts"]))
    for number, stage in enumerate(_DATA["stages"])
)
AS_FOUND, FIXED = STAGE_LIST[0], STAGE_LIST[-1]


def stage(number: int | str) -> Stage:
    """Return the stage of that number.

    Raises:
        ClewError: there is no such stage.
    """
    if str(number) in {str(known.number) for known in STAGE_LIST}:
        return STAGE_LIST[int(number)]
    raise ClewError(f"There is no stage {number}; the stages are 0 to {FIXED.number}.", "make stage-0 up trace")


def all_mixes() -> list[str]:
    """Return the 32 mixes in Gray code order: neighbours differ in one layer, nginx changes most, the worker once."""
    mixes = [""]
    for _ in LAYERS:
        mixes = ["0" + mix for mix in mixes] + ["1" + mix for mix in reversed(mixes)]
    return [mix[::-1] for mix in mixes]


def checked_mix(mix: str, edited: bool = False) -> str:
    """Return `mix` if it is a mix; with `edited`, one that has edited layers may pass.

    Raises:
        ClewError: it is not five characters of `0` and `1` (and `?`).
    """
    if len(mix) != len(LAYERS) or set(mix) - {"0", "1", *(EDITED if edited else "")}:
        raise ClewError(f"{mix!r} is not a mix: give five characters of 0 and 1, nginx first.", "make lattice")
    return mix


def expected(mix: str) -> tuple[str, ...]:
    """Return each hop's verdict: a fixed layer hands on what it was given, a broken nginx replaces the ID, any other
    broken layer hands on nothing. What an edited layer hands on is "unknown", until a broken layer follows."""
    carried = "kept"
    verdicts = []
    for layer, state in zip(LAYERS, checked_mix(mix, edited=True), strict=True):
        if state == EDITED:
            carried = "unknown"
        elif state == "0":
            carried = "replaced" if layer is LAYERS[0] else "missing"
        verdicts.append(carried)
    return tuple(verdicts)
