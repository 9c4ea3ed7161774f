"""Where things are."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STACK = ROOT / "stack"
STAGES = ROOT / "stages"
STATE = Path(os.environ.get("CLEW_STATE") or ROOT / ".clew").resolve()  # of stacks that run
SETUP = ROOT / ".clew"  # locks and packages of setting up this checkout, whatever CLEW_STATE says
CACHE = SETUP / "cache"


def shown(path: Path) -> str:
    """Return a path as a person at the top of the repository would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
