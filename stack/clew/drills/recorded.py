"""The last results of the drills, as the repository keeps them: one small file for each drill and settings.

`make drills RECORD=1` writes them, and the site shows them in a table.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clew.core.errors import ClewError
from clew.drills.model import Result

FOLDER = Path(__file__).parent / "results"
FIELDS = ("name", "on", "seed", "driver", "short", "verdict", "unknown", "seconds")


def record(result: Result) -> Path:
    """Write what a run found, in place of what an earlier run of the same drill and settings did; return the file."""
    kept = {
        **{field: getattr(result, field) for field in FIELDS},
        "day": datetime.fromtimestamp(result.began, UTC).date().isoformat(),
        "requests": result.counts["requests"],
        "failed": [f"{check.what}: {check.found}" for check in result.checks if check.ok is False],
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{result.name}-{result.on}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n")
    return path


def results() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the recorded results by the drill's name and its settings.

    Raises:
        ClewError: a file is not what `record` writes.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.json")):
        try:
            kept = json.loads(path.read_text())
            missing = {*FIELDS, "day", "requests", "failed"} - kept.keys()
        except (ValueError, AttributeError):
            missing = set(FIELDS)
        if missing:
            reason = f"{path.name} is not a recorded result: it has no {', '.join(sorted(missing))}."
            raise ClewError(reason, "make drills RECORD=1")
        found[kept["name"], kept["on"]] = kept
    return found
