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
        exactly("services that ended by themselves", 0, sum(account.ended_by_themselves.values())),
    ]


def doubts(faults: Sequence[Fault], account: Account) -> list[str]:
    """Return why a run that shows nothing wrong does not show that all is well."""
    reasons = [f"The fault did not land: {fault.kind} {fault.service}." for fault in faults if not fault.landed]
    if not account.requests or not account.acknowledged:
        reasons.append("No request was accepted.")
    paced = [one for one in account.requests if one.paced]
    late = [one for one in paced if one.attempts and one.attempts[0].sent_at - one.planned_at > BEHIND_SECONDS]
    unsent = [one for one in account.requests if not one.attempts]
    if len(late) + len(unsent) > (1 - REACHED) * len(paced):
        reasons.append(
            f"The load was not reached: of {len(account.requests)} requests {len(late)} were sent more than "
            f"{BEHIND_SECONDS:g} s late, {len(unsent)} not at all."
        )
    return reasons


def excused(checks: Sequence[Check], stall: float | None) -> list[Check]:
    """Return the checks of a run; a time that is too long shows nothing where the machine itself stalled.

    `stall` is the longest stall in seconds, None when it was not measured.
    """
    if stall is None or stall < STALL_SECONDS:
        return list(checks)
    told = f" (this machine stalled for {stall:.1f} s)"
    return [
        replace(check, ok=None, found=check.found + told) if check.timed and check.ok is False else check
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
