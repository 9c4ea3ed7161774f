"""What a drill is, and what a run of one leaves: plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew.core.lines import Line

if TYPE_CHECKING:
    from clew.drills.account import Account
    from clew.drills.scene import Scene

TIMED_OUT = 504
HELD, BROKEN, UNKNOWN = "held", "broken", "unknown"
EXIT_CODES = {HELD: 0, BROKEN: 1, UNKNOWN: 2}
SETTINGS = ("durable", "stock")
DRIVERS = ("docker", "local")


@dataclass(frozen=True)
class Check:
    """One thing that must be so: `found` was counted or measured, `should` says what it must be.

    `ok` is None when it could not be found out. A check that
    `needs_calm` shows nothing when it fails on a machine that is busy with other things.
    """

    what: str
    should: str
    found: str
    ok: bool | None
    needs_calm: bool = False


def at_most(what: str, limit: float, found: float | None, unit: str = "") -> Check:
    """Check a number, in `unit`, against its largest allowed value; None is a number that could not be measured."""
    suffix = f" {unit}" if unit else ""
    told = "not measured" if found is None else _number(found) + (suffix if found != float("inf") else "")
    ok = None if found is None else found <= limit
    return Check(what, f"≤ {_number(limit)}{suffix}", told, ok, needs_calm=unit in ("s", "ms"))


def exactly(what: str, wanted: object, found: object, needs_calm: bool = False) -> Check:
    """Check that something is one value and no other; None is what could not be found out."""
    told = "not measured" if found is None else _number(found)
    return Check(what, _number(wanted), told, None if found is None else found == wanted, needs_calm)


def _number(value: object) -> str:
    if value == float("inf"):
        return "never"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".") or "0"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


@dataclass
class Fault:
    """Something that was done to a service: from `began` to `ended` in seconds since the epoch; `ended` is None where
    nothing had to be healed. `landed` tells whether it was seen to have its effect.
    """

    kind: str
    service: str
    began: float
    ended: float | None = None
    landed: bool = False


@dataclass(frozen=True)
class Attempt:
    """One POST: when it was sent, milliseconds until its answer, `status` None when there was no whole answer."""

    sent_at: float
    ms: float
    status: int | None
    task_id: str | None = None
    from_cache: bool = False
    problem: str = ""


@dataclass
class Request:
    """One thing that a client wanted done, in one or more attempts.

    `planned_at` is when the load's plan says that it is sent, in seconds since the epoch; `client` is "plain", which
    never tries again, or "retrying", which does so with one Idempotency-Key. `due` is the final state that its task
    must reach. `paced` requests are part of a load at a rate, so they must be sent in time.
    """

    number: int
    correlation_id: str
    client: str
    body: Mapping[str, Any]
    planned_at: float
    key: str | None = None
    due: str = "SUCCESS"
    label: str = ""
    paced: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def answer(self) -> Attempt | None:
        """The attempt that told the client how its request ended: the one that was accepted, else the last."""
        accepted = (attempt for attempt in self.attempts if attempt.status in (200, 201) and attempt.task_id)
        return next(accepted, self.attempts[-1] if self.attempts else None)

    @property
    def outcome(self) -> str:
        """Acknowledged; refused, when every attempt was answered with a refusal; else undetermined.

        504 is no refusal: it says that a server did not answer in time, not what that server did.
        """
        if self.answer is not None and self.answer.task_id and self.answer.status in (200, 201):
            return "acknowledged"
        refused = bool(self.attempts) and all(
            attempt.status is not None and attempt.status >= 400 and attempt.status != TIMED_OUT
            for attempt in self.attempts
        )
        return "refused" if refused else "undetermined"

    @property
    def task_id(self) -> str | None:
        return self.answer.task_id if self.outcome == "acknowledged" and self.answer else None

    @property
    def ms(self) -> float | None:
        """Milliseconds from when it was planned to the end of its last attempt, waits between attempts included."""
        if not self.attempts:
            return None
        return (self.attempts[-1].sent_at - self.planned_at) * 1000 + self.attempts[-1].ms

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: value for name, value in vars(self).items() if name != "attempts"},
            "outcome": self.outcome,
            "task_id": self.task_id,
            "attempts": [vars(attempt) for attempt in self.attempts],
        }


@dataclass(frozen=True)
class Drill:
    """A claim, and how it is tested.

    `should` says what should happen, line by line, and `stock` what is expected with the defaults of Celery, Redis and
    nginx. `act` loads the stack of a Scene and injects the faults; `checks` judges the Account. `full` and `short` are
    the sizes of the two forms: numbers that `act` reads from `scene.size`. `seconds` is how long to wait for the tasks
    to finish once the faults are healed.
    """

    name: str
    claim: str
    should: tuple[str, ...]
    stock: str
    act: Callable[[Scene], None]
    checks: Callable[[Scene, Account], list[Check]]
    full: Mapping[str, float]
    short: Mapping[str, float]
    seconds: float = 60
    drivers: tuple[str, ...] = DRIVERS
    why_driver: str = ""


@dataclass
class Result:
    """What a run of a drill found. `verdict` is held, broken or unknown; `unknown` has the reasons why it is that."""

    name: str
    on: str
    seed: int
    driver: str
    short: bool
    claim: str
    should: tuple[str, ...]
    stock: str
    verdict: str
    unknown: list[str]
    checks: list[Check]
    counts: dict[str, Any]
    faults: list[Fault]
    notes: dict[str, Any]
    trail: list[Line]
    began: float
    seconds: float
    folder: Path

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        return {
            **vars(self),
            "checks": [vars(check) for check in self.checks],
            "faults": [vars(fault) for fault in self.faults],
            "notes": finite(self.notes),
            "folder": str(self.folder),
        }


def finite(value: Any) -> Any:
    """Return a value as JSON can have it: what never happened is null, not infinite."""
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
