"""One way to measure everything: variants in turns, in one run, two of them the same.

A measurement is a `Bench`: its variants, each a function that does one round and returns a figure, and the ratios that
matter. Two variants do the same (`same`): how far their ratio is from 1 is what chance does here. Beyond CHANCE the run
shows nothing (void), whatever the other ratios say.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

CHANCE = 0.05
Variants = Mapping[str, Callable[[], float]]
Json = dict[str, Any]


@dataclass(frozen=True)
class Ratio:
    """The figure of the variant `of` divided by that of `to`; at most `goal`, if there is one."""

    name: str
    of: str
    to: str
    goal: float | None = None


@dataclass(frozen=True)
class Bench:
    """A measurement. `opened` starts what is measured and yields the variants, and `facts` that it may add to.

    `rounds` are those of a recorded run, `short` those of a look; the figures are in `unit`. `most` has the highest
    values that facts may have.
    """

    name: str
    title: str
    unit: str
    opened: Callable[[Json], AbstractContextManager[Variants]]
    ratios: tuple[Ratio, ...]
    same: tuple[str, str]
    rounds: int = 120
    short: int = 15
    warm: int = 1
    most: Mapping[str, float] = field(default_factory=dict)


def measure(bench: Bench, rounds: int) -> Json:
    """Run a measurement; return its figures as JSON, with the machine and the day."""
    facts: Json = {}
    load = os.getloadavg()[0]
    with bench.opened(facts) as variants:
        for variant in variants.values():
            for _ in range(bench.warm):
                variant()
        found: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(rounds):
            for name in list(variants) if number % 2 else reversed(list(variants)):
                found[name].append(variants[name]())
    one, other = bench.same
    chance = statistics.median(_pairs(found[other], found[one]))
    return {
        "name": bench.name,
        "title": bench.title,
        "unit": bench.unit,
        "rounds": rounds,
        "figures": {name: round(statistics.median(values), 6) for name, values in found.items()},
        "ratios": [{**vars(ratio), **_spread(_pairs(found[ratio.of], found[ratio.to]))} for ratio in bench.ratios],
        "chance": round(chance, 4),
        "void": abs(chance - 1) > CHANCE,
        "facts": facts,
        "most": dict(bench.most),
        "day": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": {"processors": os.cpu_count(), "load_before": round(load, 1), "python": platform.python_version()},
    }


def _pairs(of: list[float], to: list[float]) -> list[float]:
    return [a / b for a, b in zip(of, to, strict=True)]


def _spread(pairs: list[float]) -> Json:
    """Return the median of the rounds' ratios, and between which two half of them are."""
    low, middle, high = statistics.quantiles(pairs, n=4) if len(pairs) > 1 else pairs * 3
    return {"median": round(middle, 4), "low": round(low, 4), "high": round(high, 4)}


def missed(result: Json) -> list[str]:
    """Return the names of the ratios and facts that are above their goals."""
    above = [one["name"] for one in result["ratios"] if one["goal"] is not None and one["median"] > one["goal"]]
    return above + [name for name, most in result["most"].items() if result["facts"][name] > most]


def lines(result: Json) -> Iterator[str]:
    """Yield a result in words, for a terminal."""
    yield f"{result['name']}: {result['title']} ({result['rounds']} rounds, load {result['machine']['load_before']})"
    for name, figure in result["figures"].items():
        yield f"  {name:<24}{figure:>12.4g} {result['unit']}"
    for one in result["ratios"]:
        goal = "" if one["goal"] is None else f", goal ≤ {one['goal']:g}"
        yield f"  {one['name']}: {one['median']:.3f} (half of the rounds {one['low']:.3f} to {one['high']:.3f}{goal})"
    for name, fact in result["facts"].items():
        goal = f" (goal ≤ {result['most'][name]:g})" if name in result["most"] else ""
        yield f"  {name}: {fact if isinstance(fact, str) else json.dumps(fact)}{goal}"
    yield f"  the same twice: {result['chance']:.3f}" + (
        ": more than 5 % from 1, so this run shows nothing" if result["void"] else ""
    )
