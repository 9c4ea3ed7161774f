"""Whose ID is on a line? Decided by the task IDs that the clients were told, never by the ID that the line has."""

from __future__ import annotations

from collections import Counter
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


def astray(lines: Iterable[Line], sent: Iterable[str]) -> list[str]:
    """Return what speaks for a wrong ID in a layer before the queue, where lines have no task ID.

    An ID that was never sent, one that a layer never logged because another's stood in its place, and one that a layer
    logged more often than nginx sent the request: nginx sends it to the next server when the first takes too long.
    """
    lines = [line for line in lines if line.get("hop") in API_HOPS]
    logged = {hop: Counter(str(line.get("correlation_id")) for line in lines if line["hop"] == hop) for hop in API_HOPS}
    most = Counter(dict.fromkeys(sent, 1))
    for line in lines:
        if line["hop"] == API_HOPS[0] and line.get("correlation_id") in most:
            most[line["correlation_id"]] = servers_tried(line)
    return [
        *(f"{hop} logged {found}, which nobody sent" for hop in API_HOPS for found in logged[hop] if found not in most),
        *(f"{hop} never logged {sent_id}" for hop in API_HOPS for sent_id in most if sent_id not in logged[hop]),
        *(
            f"{hop} logged {sent_id} {logged[hop][sent_id]} times"
            for hop in API_HOPS
            for sent_id in most
            if logged[hop][sent_id] > (1 if hop == API_HOPS[0] else most[sent_id])
        ),
    ]


def servers_tried(line: Line) -> int:
    """Return to how many servers nginx sent a request, from nginx's line about it: it lists their addresses."""
    return len(str(line.get("upstream", "")).split(","))
