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
    asked_for: int | None


def read(paths: Iterable[Path]) -> tuple[list[Score], list[str]]:
    """Return the scores of files and of the .json files in folders, the best first, of equal ones the fastest; and for
    each file that is not a score, its name and what is wrong with it.

    Raises:
        ClewError: there is no file.
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
        except RecursionError:
            problems.append(f"{file.name}: it is nested too deeply")
        except KeyError as error:
            problems.append(f"{file.name}: it has no {error}")
        except (OSError, ValueError, TypeError, OverflowError) as error:
            problems.append(f"{file.name}: {error}")
    return sorted(scores, key=lambda one: (-one.score, one.seconds, one.name)), problems


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _score(file: Path) -> Score:
    """Read one file.

    Raises:
        ValueError, TypeError, KeyError, OverflowError, RecursionError, OSError: it is not a score.
    """
    if not file.is_file():
        raise ValueError("it is not a file")
    if file.stat().st_size > MOST_BYTES:
        raise ValueError("it is too big")
    data: Any = json.loads(file.read_bytes(), parse_constant=_refuse)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"it is not a score in format {FORMAT}")
    if data.get("replay"):
        raise ValueError("it is of a replay, which does not count")
    asked_for = data.get("asked_for")
    steps = {step: data["steps"][step] for step in STEPS}
    if not all(found in (True, False, None) for found in steps.values()):
        raise ValueError("a step is neither right nor wrong")
    score = Score(
        str(data["name"]), int(data["seed"]), int(data["level"]), int(data["faults"]), float(data["seconds"]),
        int(data["hints"]), steps, int(data["score"]), None if asked_for is None else int(asked_for),
    )  # fmt: skip
    if not 0 <= score.score <= 100 or not 0 <= score.seconds < 1e7:
        raise ValueError("a number in it cannot be right")
    return score
