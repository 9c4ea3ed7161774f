"""One mystery being solved: its folder, its clock, the steps that were guessed, and the score."""

from __future__ import annotations

import contextlib
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
from clew.core.paths import ROOT, shown
from clew.lab.mystery.draw import draw
from clew.lab.mystery.faults import Fault
from clew.stacks import lifecycle
from clew.stacks.drivers import Say
from clew.stacks.stack import Stack, mystery_stack

DIGIT = 7  # of the stack's ports
FORMAT = 1
POINTS = {"detect": 10, "localise": 30, "cause": 30, "fix": 30}
STEPS = tuple(POINTS)
HINT_COSTS, TRY_COSTS = 10, 5  # points
SCORES = ROOT / "try" / "scores"


@dataclass(frozen=True)
class Case:
    """A mystery. `count` is how many faults were asked for, None for as many as the level has. `started_at` is when its
    stack was first up, 0 before, `ended` when all was over, both in seconds since the epoch. `steps` tells which were
    guessed right; `fixes` counts the fixes that did not work. The score of a `replay` does not count.
    """

    seed: int
    level: int
    count: int | None
    name: str
    started_at: float = 0.0
    hints: int = 0
    fixes: int = 0
    steps: dict[str, bool | None] = field(default_factory=lambda: dict.fromkeys(STEPS))
    ended: float | None = None
    replay: bool = False

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
        end = self.ended or time.time()
        return {
            "format": FORMAT, "name": self.name, "seed": self.seed, "level": self.level, "asked_for": self.count,
            "faults": len(self.faults), "started_at": round(self.started_at, 3),
            "seconds": round(end - (self.started_at or end), 1),
            "hints": self.hints, "steps": dict(self.steps), "score": self.score, "replay": self.replay,
        }  # fmt: skip

    def save(self) -> Case:
        write_whole(_note(), json.dumps(asdict(self)))
        return self

    def end(self) -> Case:
        """Stop the clock, and write the score into a file. A score that is there stays: then this was a replay."""
        path = score_path(self)
        over = replace(self, ended=time.time(), replay=path.exists()).save()
        if not over.replay:
            write_whole(path, json.dumps(over.to_json(), indent=1) + "\n")
        return over


def score_path(case: Case) -> Path:
    """Return where the score of a player for a mystery is written."""
    who = re.sub(r"[^\w-]+", "-", case.name).strip("-")[:60] or "unknown"
    asked_for = "" if case.count is None else f"-faults-{case.count}"
    return SCORES / f"{who}-seed-{case.seed}-level-{case.level}{asked_for}.json"


def next_hint(case: Case) -> str:
    """Return the next hint, which costs points, and note that it was shown; after the last one, that one again."""
    hints = case.hint_list()
    if case.ended is None and case.hints < len(hints):
        case = replace(case, hints=case.hints + 1).save()
    shown = max(case.hints, 1)
    return f"Hint {shown} of {len(hints)}: {hints[shown - 1]}"


def start_clock(case: Case) -> Case:
    """Start the clock, when the stack is up for the first time."""
    return case if case.started_at else replace(case, started_at=time.time()).save()


def _note() -> Path:
    return mystery_stack().state / "case.json"


def unfinished(seed: int, level: int, count: int | None, name: str | None) -> Case | None:
    """Return the mystery that is being solved, if it is this one, of the same player, and not over."""
    with contextlib.suppress(ClewError):
        case = current()
        if case.ended is None and (seed, level, count, name or case.name) == (
            case.seed, case.level, case.count, case.name
        ):  # fmt: skip
            return case
    return None


def bring_up(case: Case, say: Say) -> None:
    """Start all nine services with the files of a mystery, also those that would not need it: neither a message nor a
    log line may tell what differs from the mystery before.

    Raises:
        ClewError: there is no such level, or not so many faults on it; the stack does not end or start.
    """
    faults = case.faults  # before anything ends
    with lifecycle.reserved(case.stack):
        if lifecycle.down(case.stack):
            say("The mystery stack was up; all nine services start again.")
        write(faults)
        case.save()
        lifecycle.up(case.stack, say)


def write(faults: list[Fault]) -> None:
    """Make the mystery's folder stage 5 with these faults."""
    folder = mystery_stack().folder
    ladder.write_mix(ladder.FIXED.mix, folder, DIGIT)
    for fault in faults:
        (folder / fault.layer.file).write_text(fault.text())


def untouched(case: Case) -> bool:
    """Tell whether the files of the five layers are as they were when the mystery began.

    Raises:
        ClewError: one is missing.
    """
    texts = {layer.file: ladder.source(layer, fixed=True).read_bytes() for layer in ladder.LAYERS}
    texts |= {fault.layer.file: fault.text().encode() for fault in case.faults}
    for path in (case.stack.folder / file for file in texts):
        if not path.is_file():
            raise ClewError(f"There is no file {shown(path)} any more.", "make mystery RESET=1")
    return all((case.stack.folder / file).read_bytes() == text for file, text in texts.items())


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
