"""Many runs of one request: on all six stages, and on all 32 mixes of fixed and broken layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import STATE
from clew.evidence import client
from clew.evidence.diff import run_on
from clew.evidence.trace import Run, trace
from clew.stacks import lifecycle
from clew.stacks.drivers import Say
from clew.stacks.refresh import refresh
from clew.stacks.stack import lattice_stack

SENT_ID = "MY-TRACE-123"


def journey(say: Say) -> Iterator[Run]:
    """Trace the same request on stage after stage; a stage that was down is down again afterwards.

    Raises:
        ClewError: a stage did not come up or answer.
    """
    for stage in ladder.STAGE_LIST:
        yield run_on(stage.number, SENT_ID, client.seeded_body(), say)


def lattice(say: Say) -> Iterator[Run]:
    """Trace the same request on every mix, on one stack of which only what changed is restarted.

    In Gray code order: 31 switches, 16 of them a reload of nginx, one a restart of the workers.

    Raises:
        ClewError: another process runs the mixes, or the stack did not come up, or not come back after a switch.
    """
    stack = lattice_stack()
    order = ladder.all_mixes()
    with lifecycle.reserved(stack):
        lifecycle.down(stack)
        ladder.write_mix(order[0], stack.folder)
        try:
            driver, _ = lifecycle.up(stack, say)
            current = order[0]
            for mix in order:
                ladder.write_mix(mix, stack.folder)
                refresh(stack, driver)
                if mix == order[0] or mix[1:] != current[1:]:
                    client.warm_up(stack)
                current = mix
                yield trace(stack, SENT_ID, client.seeded_body(), driver)
        finally:
            lifecycle.down(stack)


def summary(runs: list[Run]) -> dict[str, Any]:
    """Return the runs as the data that is saved and that `--json` prints."""
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "as_predicted": sum(run.as_predicted for run in runs),
        "runs": [run.to_json() for run in runs],
    }


def matrix_markdown(runs: list[Run], name: Callable[[Run], str]) -> str:
    """Return the verdicts of the runs as a Markdown table, a row a run, with the milliseconds of each hop."""
    rows = ["| | " + " | ".join(ladder.HOPS) + " | as predicted |", "|---|" + "---|" * (len(ladder.HOPS) + 1)]
    for run in runs:
        cells = [hop.verdict + (f" ({hop.shown_ms})" if hop.shown_ms else "") for hop in run.hops]
        rows.append(f"| {name(run)} | " + " | ".join(cells) + f" | {'yes' if run.as_predicted else 'NO'} |")
    return "\n".join(rows) + "\n"


def save(kind: str, runs: list[Run], name: Callable[[Run], str]) -> Path:
    """Write the runs to `.clew/<kind>.json` and `.clew/<kind>.md`; return the latter's path."""
    STATE.mkdir(parents=True, exist_ok=True)
    (STATE / f"{kind}.json").write_text(json.dumps(summary(runs), indent=1) + "\n")
    path = STATE / f"{kind}.md"
    path.write_text(matrix_markdown(runs, name))
    return path


def require_predicted(runs: list[Run], kind: str) -> None:
    """Fail unless every run matches the truth table.

    Raises:
        ClewError: some were not; the message names them.
    """
    wrong = [f"{run.mix}: {', '.join(run.verdicts)}" for run in runs if not run.as_predicted]
    if wrong:
        raise ClewError(f"Not as predicted: {'; '.join(wrong)}.", f"make {kind}")
