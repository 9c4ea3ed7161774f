"""One mystery being solved: its folder, its clock, the steps that were guessed, and the score."""

from __future__ import annotations

import getpass
import json
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.files import write_whole
from clew.core.paths import ROOT
from clew.lab.mystery.draw import draw
from clew.lab.mystery.faults import Fault
from clew.stacks.stack import Stack, mystery_stack

DIGIT = 7  # of the stack's ports
FORMAT = 1
POINTS = {"detect": 10, "localise": 30, "cause": 30, "fix": 30}
STEPS = tuple(POINTS)
HINT_COSTS, TRY_COSTS = 10, 5  # points
SCORES = ROOT / "try" / "scores"


@dataclass(frozen=True)
class Case:
    """A mystery. `count` is how many faults were asked for, None for as many as the level has. `steps` tells which were
    guessed right; `fixes` counts the fixes that did not work, `ended` is when all was over, in seconds since the epoch.
    """

    seed: int
    level: int
    count: int | None
    name: str
    started_at: float
    hints: int = 0
    fixes: int = 0
    steps: dict[str, bool | None] = field(default_factory=lambda: dict.fromkeys(STEPS))
    ended: float | None = None

    @property
    def faults(self) -> list[Fault]:
        return draw(self.seed, self.level, self.count)

    @property
    def stack(self) -> Stack:
        return mystery_stack()

    @property
    def next_step(self) -> str | None:
        """The step to guess next, None when all is over."""
        if self.ended is not None:
            return None
        return next((step for step in STEPS if self.steps[step] is None), None)

    @property
    def score(self) -> int:
        """Points of 100: for each right step, less what hints and fixes that did not work cost."""
        if not self.faults:
            earned = 100 if self.steps["detect"] else 0
        else:
            earned = sum(POINTS[step] for step in STEPS if self.steps[step])
        return max(0, earned - HINT_COSTS * self.hints - TRY_COSTS * self.fixes)

    def hint_list(self) -> list[str]:
        """Return all hints: of each fault in turn, the vaguest first."""
        if not self.faults:
            return ["Compare what you sent with what each of the five hops logged, for requests of every kind.",
                    "Whether something is wrong is the first question. It may be nothing."]  # fmt: skip
        return [fault.hints[n] for n in range(3) for fault in self.faults]

    def to_json(self) -> dict[str, Any]:
        """Return the score as it is handed in: who, which mystery, how long, what was right."""
        return {
            "format": FORMAT, "name": self.name, "seed": self.seed, "level": self.level, "faults": len(self.faults),
            "started_at": round(self.started_at, 3),
            "seconds": round((self.ended or time.time()) - self.started_at, 1),
            "hints": self.hints, "steps": dict(self.steps), "score": self.score,
        }  # fmt: skip

    def save(self) -> Case:
        write_whole(_note(), json.dumps(asdict(self)))
        return self

    def end(self) -> Case:
        """Stop the clock, and write the score into a file."""
        over = replace(self, ended=time.time()).save()
        write_whole(score_path(over), json.dumps(over.to_json(), indent=1) + "\n")
        return over


def score_path(case: Case) -> Path:
    """Return where the score of a mystery is written."""
    who = re.sub(r"[^A-Za-z0-9_-]+", "-", case.name).strip("-") or "unknown"
    return SCORES / f"{who}-seed-{case.seed}-level-{case.level}.json"


def next_hint(case: Case) -> str:
    """Return the next hint, which costs points, and note that it was shown; after the last one, that one again."""
    hints = case.hint_list()
    if case.ended is None and case.hints < len(hints):
        case = replace(case, hints=case.hints + 1).save()
    shown = max(case.hints, 1)
    return f"Hint {shown} of {len(hints)}: {hints[shown - 1]}"


def restart_clock(case: Case) -> Case:
    """Start the clock now, when the stack is up."""
    return replace(case, started_at=time.time()).save()


def _note() -> Path:
    return mystery_stack().state / "case.json"


def begin(seed: int, level: int, count: int | None = None, name: str | None = None) -> Case:
    """Write the folder of a mystery, over that of the one before, and start its clock.

    Raises:
        ClewError: there is no such level, or not so many faults on it.
    """
    case = Case(seed, level, count, name or login_name(), time.time())
    write(case.faults)
    return case.save()


def write(faults: list[Fault]) -> None:
    """Make the mystery's folder stage 5 with these faults."""
    folder = mystery_stack().folder
    ladder.write_mix(ladder.FIXED.mix, folder, DIGIT)
    for fault in faults:
        (folder / fault.layer.file).write_text(fault.text())


def current() -> Case:
    """Return the mystery that is being solved.

    Raises:
        ClewError: there is none.
    """
    try:
        return Case(**json.loads(_note().read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        raise ClewError("There is no mystery yet.", "make mystery SEED=7") from None


def login_name() -> str:
    """Return who is logged in, for the score."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
