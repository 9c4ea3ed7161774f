"""Recordings: real runs, kept in the repository so that a lesson can be replayed where no stack can be started.

This module reads them; `record.py` makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clew.core.errors import ClewError
from clew.evidence.trace import Run

FOLDER = Path(__file__).parent / "recordings"
KINDS = ("stages", "lattice", "three-ids", "receivers", "trials", "leaks", "two", "crowds", "ways")
WITH_RUNS = ("stages", "lattice", "three-ids")  # the entries of others are outcomes, and what was seen
BESIDE = ("message", "log_diff", "data")  # what an entry has next to the run
SHOWN_VERSIONS = ("python", "celery", "fastapi", "nginx", "redis-server")

Recording = dict[str, Any]


def load(kind: str) -> Recording:
    """Return a recording: `made_at`, `driver`, `versions` and `runs`; three-ids also `answers`, `waiting` and
    `clicks`.

    Raises:
        ClewError: there is no such recording, or its file is missing or damaged.
    """
    if kind not in KINDS:
        raise ClewError(f"There is no recording {kind!r}; there are {', '.join(KINDS)}.", "make record")
    try:
        recording = json.loads((FOLDER / f"{kind}.json").read_text())
        made_at, driver, versions, runs = (recording[key] for key in ("made_at", "driver", "versions", "runs"))
        for entry in runs if kind in WITH_RUNS else []:
            run_of(entry)
    except OSError as error:
        raise ClewError(f"The recording {kind}.json cannot be read: {error.strerror}.", "make record") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ClewError(f"The recording {kind}.json is damaged: {error!r}.", "make record") from None
    if not (made_at and driver and versions and runs):
        raise ClewError(f"The recording {kind}.json is empty.", "make record")
    return dict(recording)


def run_of(entry: Recording) -> Run:
    """Return the run in an entry of a recording."""
    return Run.from_json({key: value for key, value in entry.items() if key not in BESIDE})


def note(recording: Recording) -> str:
    """Return what every display of a replayed run says about where it comes from."""
    versions = ", ".join(f"{name} {recording['versions'][name]}" for name in SHOWN_VERSIONS)
    return f"Replay of a run recorded on {recording['made_at']} ({recording['driver']} driver, {versions})"
