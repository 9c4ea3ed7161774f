"""The table of all drills, with what their last recorded runs found."""

from __future__ import annotations

from typing import Any

from clew.core.errors import ClewError
from clew.drills import recorded
from clew.drills.book import DRILLS
from clew.drills.model import HELD, SETTINGS, UNKNOWN

MOST_FAILED = 2


def table() -> str:
    """Return one row for each drill: its claim, its command, and the last result with each settings.

    Raises:
        ClewError: a recorded result is broken, or of a drill that does not exist.
    """
    results = recorded.results()
    strange = sorted({name for name, _ in results} - DRILLS.keys())
    if strange:
        raise ClewError(f"There is no drill {strange[0]}, but a recorded result of it.", "delete its file in results/")
    rows = ["| drill | claim | with the durable settings | with the defaults (`ON=stock`) |", "|---|---|---|---|"]
    for drill in DRILLS.values():
        cells = [cell(results.get((drill.name, on))) for on in SETTINGS]
        rows.append(f"| `{drill.name}` | {escaped(drill.claim)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def cell(result: dict[str, Any] | None) -> str:
    """Return a result in a few words; None is a drill that has not been recorded."""
    if result is None:
        return "not recorded yet"
    form = "short form, " if result["short"] else ""
    run = f"{form}{result['requests']:,} requests, seed {result['seed']}, {result['driver']}, {result['day']}"
    reasons = result["failed"] if result["verdict"] != UNKNOWN else result["unknown"]
    told = "; ".join(reasons[:MOST_FAILED]) if result["verdict"] != HELD else ""
    more = f"; {len(reasons) - MOST_FAILED} more" if told and len(reasons) > MOST_FAILED else ""
    return f"**{result['verdict']}**" + (f": {escaped(told)}{more}" if told else "") + f"<br>({run})"


def escaped(text: str) -> str:
    """Return text that neither ends a table's cell nor is HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
