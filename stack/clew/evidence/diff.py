"""The same request on two neighbouring stages: what the fix changed in the source and what that changed in the logs."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import client
from clew.evidence.trace import Run, trace
from clew.stacks import lifecycle
from clew.stacks.drivers import Say
from clew.stacks.stack import stage_stack

SHOWN_FIELDS = ("request_id", "correlation_id", "task_id", "queue", "status_code")
ORDER = {"nginx": 0, "fastapi": 1, "celery": 2}
NUMBER = re.compile(r"\b\d+\.\d+(?:e-?\d+)?s?\b")


@dataclass(frozen=True)
class StageDiff:
    """`source` and `logs` are unified diffs, line by line; `before` and `after` the runs that the logs are of."""

    number: int
    source: list[str]
    logs: list[str]
    before: Run
    after: Run

    def to_json(self) -> dict[str, Any]:
        runs = {"before": self.before.to_json(), "after": self.after.to_json()}
        return {"stage": self.number, "source": self.source, "logs": self.logs, **runs}


def normalised(run: Run) -> list[str]:
    """Return a run's log lines without what differs between any two runs: times, replicas, generated IDs, figures.

    A generated ID becomes `<other id>`, the task ID `<task id>`; the ID that the client sent stays what it is.
    """
    texts = []
    for line in sorted(run.lines, key=_order):
        if str(line["message"]).startswith("Task tasks."):
            continue  # Celery's own two lines: their place among the others is a matter of chance
        kind = line["service"].partition("-")[0]
        fields = [f"{name}={_value(name, line[name], run)}" for name in SHOWN_FIELDS if name in line]
        message = NUMBER.sub("<n>", str(line["message"]).replace(run.task_id, "<task id>"))
        texts.append(" ".join([f"{kind:8}", message, *fields]))
    return texts


def _order(line: Line) -> tuple[int, float]:
    """nginx logs at the request's end, in no fixed order with the servers' lines: it stands first, as it ran."""
    return ORDER.get(line["service"].partition("-")[0], 3), line["ts"]


def _value(name: str, value: Any, run: Run) -> str:
    if value is None:
        return "–"
    if name == "task_id":
        return "<task id>" if value == run.task_id else "<other task id>"
    if name in ("request_id", "correlation_id") and value != run.sent_id:
        return "<other id>"
    return value if isinstance(value, str) else json.dumps(value)


def log_diff(before: Run, after: Run) -> list[str]:
    """Return the unified diff between the normalised logs of two runs, every line shown."""
    old, new = normalised(before), normalised(after)
    return list(difflib.unified_diff(old, new, before.folder, after.folder, lineterm="", n=max(len(old), len(new))))


def stage_diff(number: int, correlation_id: str | None, body: dict[str, Any] | None, say: Say) -> StageDiff:
    """Run the same request on a stage and on the one before; a stage that is down is brought up for it and taken down.

    Raises:
        ClewError: stage 0, which has no stage before it; or a stage did not come up or answer.
    """
    if number == 0:
        raise ClewError("Stage 0 is the first: there is no stage to compare it with.", "make stage-1 diff")
    for this in (ladder.stage(number - 1), ladder.stage(number)):
        if edited := ladder.edited_files(this):
            raise ClewError(
                f"{', '.join(edited)}: edited, so what stage {number} changes cannot be told apart from your changes.",
                f"git checkout {' '.join(edited)}",
            )
    correlation_id = correlation_id or "MY-TRACE-123"
    before = run_on(number - 1, correlation_id, body, say)
    after = run_on(number, correlation_id, body, say)
    return StageDiff(number, ladder.source_diff(number), log_diff(before, after), before, after)


def run_on(number: int, correlation_id: str | None, body: dict[str, Any] | None, say: Say) -> Run:
    """Trace one request on a stage, leaving the stage up or down as it was."""
    stack = stage_stack(number)
    with lifecycle.borrowed(stack, say) as started:
        if started.was_down:
            client.warm_up(stack)
        say(f"Sending the request to {stack.title}.")
        return trace(stack, correlation_id, body, started.driver)
