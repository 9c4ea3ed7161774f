"""What reaches a retry, a task's task, a chain, a chord, a thread, an error: `stack/ways/cases.py`, run and read."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.core import processes
from clew.core.errors import ClewError
from clew.core.paths import STACK
from clew.evidence.journey import SENT_ID
from clew.lab.ways import folder

SECONDS = 60
CASES = {
    "retry": "a task's retry",
    "child": "a task that a task sends",
    "chain": "the second task of a chain",
    "chord": "the callback of a chord",
    "threads": "a thread pool in a task",
    "library": "a function that is not given the ID",
    "error": "the exception of an error 500",
    "answer": "the answer to an error 500",
    "beat": "a task that celery beat sends",
}
KEPT, LOST, NEW = "kept", "lost", "an ID of its own"


@dataclass(frozen=True)
class Case:
    """What came of one case: `found` when nobody thought of the ID, `careful` with what it takes to keep it.

    `trace` tells whether all of its lines have the trace ID of the request, None where there are no traces.
    """

    case: str
    found: str
    careful: str
    trace: bool | None


def run(way: str) -> list[Case]:
    """Run all cases in this way, in a process of its own.

    Raises:
        ClewError: the program did not end well.
    """
    with tempfile.TemporaryDirectory() as temporary:
        stage = Path(temporary)
        folder.write(way, stage)
        variables = {
            "PYTHONPATH": f"{STACK}:{stage / 'fastapi-app'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "ignore",
            "SERVICE_NAME": "cases",
            "ENVIRONMENT": "staging",
            "SETTINGS": "durable",
        }
        command = [sys.executable, str(folder.SOURCES / "cases.py")]
        ran = processes.run(command, SECONDS, separate=True, env=variables, cwd=stage / "fastapi-app")
    if ran.code != 0:
        raise ClewError(
            f"The cases of the way {way} ended with {ran.code}: {processes.tail(ran.errors)}", "make otel-packages"
        )
    return read([json.loads(line) for line in ran.output.splitlines() if line.startswith("{")])


def read(lines: Sequence[dict[str, Any]]) -> list[Case]:
    """Return what the log lines of the program say of each case."""
    found: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    careful = False
    for line in lines:
        if "case" in line:
            careful = line["careful"]
            found.setdefault((line["case"], careful), []).append(line)
        elif "exception" in line:  # an error's own line has the ID in another field
            found[("error", careful)].append({**line, "correlation_id": line.get("request_id")})
        elif line.get("of") == "error":
            found[("answer", careful)] = [{"correlation_id": SENT_ID if line["told"] else None}]
    return [
        Case(
            case=case,
            found=_verdict(found[(case, False)]),
            careful=_verdict(found[(case, True)]),
            trace=_one_trace(found[(case, False)]),
        )
        for case in CASES
    ]


def _verdict(lines: Sequence[dict[str, Any]]) -> str:
    ids = {line["correlation_id"] for line in lines}
    return KEPT if ids == {SENT_ID} else LOST if None in ids else NEW


def _one_trace(lines: Sequence[dict[str, Any]]) -> bool | None:
    traces = {line.get("trace_id") for line in lines}
    return None if traces == {None} else len(traces) == 1
