"""The recorded run of `make alerts` on a page: how long each step took, and what the dashboard's panels showed."""

from __future__ import annotations

from clew.monitor import recorded
from clew.show import panels


def table() -> str:
    """Return the seconds of each step, and where and when they were measured."""
    run = recorded.load()
    end = run["moments"][-1][1]
    return "\n".join([
        "| step | seconds |",
        "|---|---|",
        f"| from the first lost ID to the alert in the receiver | {run['fired_seconds']} |",
        f"| from the fix to *resolved* in the receiver | {run['resolved_seconds']} |",
        "",
        f"Measured on {run['day']} with the {run['driver']} driver, {run['requests']} requests in {end:.0f} s. "
        f"The alert says: *{run['summary']}*.",
    ])  # fmt: skip


def pictures() -> str:
    """Return a picture of each panel, and what its numbered lines are."""
    moments = [f"{number}: {what}, after {at:g} s" for number, (what, at) in enumerate(recorded.load()["moments"], 1)]
    return f"{panels.pictures(recorded.load())}\n\n{'; '.join(moments)}."
