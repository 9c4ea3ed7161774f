"""Whose ID is on a line? Decided by the task IDs that the clients were told, never by the ID that the line has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clew import ladder
from clew.core.lines import Line

OWN, MISSING, ANOTHERS = "own", "missing", "another's"
API_HOPS = ladder.HOPS[:4]


@dataclass(frozen=True)
class Judged:
    """A line of a task, `owner` being the ID of the request that the task was made for."""

    line: Line
    owner: str
    verdict: str


def judged(lines: Iterable[Line], told: Mapping[str, str]) -> list[Judged]:
    """Return every line that has a correlation ID field and a task whose request is known.

    `told` has the task ID that each client was told, and the ID that it had sent. A task that another one sent has that
    one's owner.
    """
    lines = list(lines)
    owners = dict(told)
    for line in lines:
        if "next_task_id" in line and line.get("task_id") in owners:
            owners[line["next_task_id"]] = owners[line["task_id"]]
    return [
        Judged(line, owners[line["task_id"]], verdict(line["correlation_id"], owners[line["task_id"]]))
        for line in lines
        if "correlation_id" in line and line.get("task_id") in owners
    ]


def verdict(found: str | None, owner: str) -> str:
    """Return whether an ID on a line is its owner's own, missing, or another's."""
    return MISSING if not found else OWN if found == owner else ANOTHERS


def not_once(lines: Iterable[Line], sent: Iterable[str]) -> list[str]:
    """Return what speaks against one hand-off for each ID and layer before the queue, where lines have no task ID."""
    lines = [line for line in lines if line.get("hop") in API_HOPS]
    counts = {(hop, sent_id): 0 for hop in API_HOPS for sent_id in sent}
    for line in lines:
        key = (str(line["hop"]), str(line.get("correlation_id")))
        counts[key] = counts.get(key, 0) + 1
    return [f"{hop} logged {sent_id} {count} times" for (hop, sent_id), count in counts.items() if count != 1]
