"""From a seed to what is wrong: the same on every machine and with every version of Python."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from clew import ladder
from clew.core.errors import ClewError
from clew.lab.mystery.faults import BASIC, RARE, Fault

LEVELS = {
    1: "one of the five layers of the ladder, or nothing",
    2: "something that no stage has, or nothing",
    3: "two or three such things at once",
}
NOTHING_IN = 5  # of so many mysteries on levels 1 and 2, nothing is wrong in one
MOST_FAULTS = 3
Item = TypeVar("Item")


class Dice:
    """Random choices from SHA-256, because Python does not promise that `random` stays the same."""

    def __init__(self, seed: str) -> None:
        self.seed, self.rolled = seed, 0

    def below(self, bound: int) -> int:
        """Return a number from 0 to `bound` - 1."""
        self.rolled += 1
        digest = hashlib.sha256(f"{self.seed}/{self.rolled}".encode()).digest()
        return int.from_bytes(digest[:8]) % bound

    def choice(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]


def draw(seed: int, level: int, count: int | None = None) -> list[Fault]:
    """Return what is wrong, in the order of the layers; nothing may be.

    `count` is how many faults there are, None for as many as the level has. Several faults are in different layers and
    have different causes, so that none hides another.

    Raises:
        ClewError: there is no such level, or not so many faults on it.
    """
    if level not in LEVELS:
        raise ClewError(f"There is no level {level}; the levels are 1 to {max(LEVELS)}.", "make mystery SEED=7 LEVEL=2")
    if count is not None and not 1 <= count <= (1 if level == 1 else MOST_FAULTS):
        most = "1 on level 1" if level == 1 else f"1 to {MOST_FAULTS}"
        raise ClewError(f"FAULTS is {count}; it must be {most}.", "make mystery SEED=7 LEVEL=2 FAULTS=2")
    dice = Dice(f"clew mystery {seed} level {level} faults {count}")
    if count is None:
        count = 2 + dice.below(2) if level == max(LEVELS) else min(1, dice.below(NOTHING_IN))
    pool = list(BASIC if level == 1 else RARE)
    found: list[Fault] = []
    while len(found) < count:
        cause = dice.choice(sorted({fault.cause for fault in pool}))  # each cause as likely as another
        fault = dice.choice([fault for fault in pool if fault.cause == cause])
        found.append(fault)
        pool = [other for other in pool if other.hop != fault.hop and other.cause != fault.cause]
    return sorted(found, key=lambda fault: ladder.HOPS.index(fault.hop))
