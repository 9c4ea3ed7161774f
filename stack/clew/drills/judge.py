"""The verdict of a run: held, broken or unknown. Unknown is never a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clew.drills.account import Account
from clew.drills.calm import STALL_SECONDS
from clew.drills.model import BROKEN, HELD, UNKNOWN, Check, Fault, exactly

BEHIND_SECONDS = 1.0  # how late a request of a plan may be sent
REACHED = 0.98  # of the requests of a plan must be sent that early


def always(account: Account) -> list[Check]:
    """Return what must be so in every drill."""
    return [
        exactly("lost: acknowledged, never finished as due", 0, len(account.lost)),
        exactly("ghosts: refused, run all the same", 0, len(account.ghosts)),
        exactly("wrong state: the API contradicts the logs", 0, len(account.wrong_state)),
        exactly("effects applied more than once", 0, len(account.duplicate_effects)),
        exactly("services that ended unexpectedly", 0, sum(account.ended_unexpectedly.values())),
    ]


def doubts(faults: Sequence[Fault], account: Account) -> list[str]:
    """Return why a run that shows nothing wrong does not show that all is well."""
    reasons = [f"The fault did not land: {fault.kind} {fault.service}." for fault in faults if not fault.landed]
    if not account.requests or not account.acknowledged:
        reasons.append("No request was accepted.")
    if told := behind(account):
        reasons.append(told)
    return reasons


def behind(account: Account) -> str | None:
    """Return how far a load at a rate fell behind its plan, None when it was reached."""
    paced = [one for one in account.requests if one.paced]
    late = [one for one in paced if one.attempts and one.attempts[0].sent_at - one.planned_at > BEHIND_SECONDS]
    unsent = [one for one in account.requests if not one.attempts]
    if len(late) + len(unsent) <= (1 - REACHED) * len(paced):
        return None
    return (
        f"The load was not reached: of {len(account.requests)} requests {len(late)} were sent more than "
        f"{BEHIND_SECONDS:g} s late, {len(unsent)} not at all."
    )


def unrest(account: Account, stall: float | None) -> str | None:
    """Return why the machine was too busy to judge times and failed requests, None when it was calm.

    `stall` is the longest stall in seconds, None when it was not measured.
    """
    if stall is not None and stall >= STALL_SECONDS:
        return f"this machine stalled for {stall:.1f} s"
    return "this machine could not keep up with the load" if behind(account) else None


def excused(checks: Sequence[Check], unrest: str | None) -> list[Check]:
    """Return the checks of a run; those that need a calm machine show nothing when they failed on another one."""
    if unrest is None:
        return list(checks)
    return [
        replace(check, ok=None, found=f"{check.found} ({unrest})") if check.needs_calm and check.ok is False else check
        for check in checks
    ]


def verdict(checks: Sequence[Check], doubts: Sequence[str], incomplete: Sequence[str]) -> str:
    """Return broken when something that was seen is wrong, unknown when not all was seen, else held.

    Counts from logs that are not complete show nothing.
    """
    if incomplete:
        return UNKNOWN
    if any(check.ok is False for check in checks):
        return BROKEN
    if doubts or any(check.ok is None for check in checks) or not checks:
        return UNKNOWN
    return HELD
