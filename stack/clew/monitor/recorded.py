"""What each panel of the dashboard showed in one run of `make alerts`, as `make alerts RECORD=1` writes it.

Times are seconds after the first request. A panel has its series in the order of its queries; a series is its legend
and its points, pairs of seconds and a value in the unit of the panel. Where there was no value there is no point.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clew.core.errors import ClewError
from clew.core.files import write_whole
from clew.monitor.dashboard import PANELS
from clew.monitor.prometheus import Monitor

FILE = Path(__file__).with_name("recorded.json")
STEP_SECONDS = 2

Series = tuple[str, list[tuple[float, float]]]


def panels(monitor: Monitor, since: float, until: float) -> dict[str, list[Series]]:
    """Ask for what each panel shows between two times, in seconds since the epoch.

    Raises:
        ClewError: Prometheus does not answer, or a panel is empty.
    """
    found: dict[str, list[Series]] = {}
    for title, _, queries in PANELS:
        found[title] = [
            (legend(template, labels), points)
            for query, template in queries
            for labels, values in monitor.query_range(query, since, until, STEP_SECONDS)
            if (
                points := [(round(at - since, 1) + 0.0, rounded(value)) for at, value in values if math.isfinite(value)]
            )
        ]
        if not found[title]:
            raise ClewError(f"The panel {title!r} is empty.", "make alerts RECORD=1")
    return found


def legend(template: str, labels: dict[str, str]) -> str:
    """Return a legend with each `{{label}}` replaced by its value, as Grafana does."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), template).strip()


def rounded(value: float) -> float:
    """Return a value with four significant digits, as many as a picture can show."""
    return float(f"{value:.4g}")


def record(run: dict[str, Any]) -> None:
    """Write a run with the day on which it was."""
    day = datetime.now(UTC).date().isoformat()
    write_whole(FILE, json.dumps({"day": day, **run}, separators=(",", ":")) + "\n")


def load() -> dict[str, Any]:
    """Return the recorded run: what `fire` returns, with `day`, `moments` and `panels`.

    Raises:
        ClewError: there is none.
    """
    try:
        found: dict[str, Any] = json.loads(FILE.read_text())
    except (OSError, ValueError) as error:
        raise ClewError(f"{FILE.name} cannot be read: {error}.", "make alerts RECORD=1") from None
    return found
