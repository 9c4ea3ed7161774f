"""Scores side by side: reading the files that players handed in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.core.errors import ClewError
from clew.lab.mystery.case import FORMAT, STEPS

MOST_BYTES = 100_000


@dataclass(frozen=True)
class Score:
    """One player's score; see `Case.to_json` for the fields."""

    name: str
    seed: int
    level: int
    faults: int
    seconds: float
    hints: int
    steps: dict[str, bool | None]
    score: int


def read(paths: Iterable[Path]) -> list[Score]:
    """Return the scores of files and of the .json files in folders: the best first, of equal ones the fastest.

    Raises:
        ClewError: there is no file, or one is not a score; all that are not are named.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ClewError(f"There is no file or folder {path}.", "make classroom DIR=try/scores")
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise ClewError("There are no score files.", "make classroom DIR=try/scores")
    scores, problems = [], []
    for file in files:
        try:
            scores.append(_score(file))
        except (OSError, ValueError, TypeError, KeyError) as error:
            problems.append(f"{file.name}: {error or type(error).__name__}")
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ClewError(
            f"{len(problems)} of {len(files)} files are not scores:\n{listed}", "take them away, then make classroom"
        )
    return sorted(scores, key=lambda one: (-one.score, one.seconds, one.name))


def _score(file: Path) -> Score:
    """Read one file.

    Raises:
        ValueError, TypeError, KeyError, OSError: it is not a score.
    """
    if file.stat().st_size > MOST_BYTES:
        raise ValueError("it is too big")
    data: Any = json.loads(file.read_text())
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"it is not a score in format {FORMAT}")
    steps = {step: data["steps"][step] for step in STEPS}
    if not all(found in (True, False, None) for found in steps.values()):
        raise ValueError("a step is neither right nor wrong")
    score = Score(
        str(data["name"]), int(data["seed"]), int(data["level"]), int(data["faults"]), float(data["seconds"]),
        int(data["hints"]), steps, int(data["score"]),
    )  # fmt: skip
    if not 0 <= score.score <= 100 or not 0 <= score.seconds < 1e7:
        raise ValueError("a number in it cannot be right")
    return score
