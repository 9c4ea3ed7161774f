"""Counting, as Jepsen does: what clients were told, compared with what ran. From logs and the API alone.

What is judged is never asked: nothing here reads the services' own bookkeeping in Redis.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clew.core.lines import Line
from clew.drills.model import Request
from clew.stacks.services import SERVICES, is_worker
from taskqueue.contract import FINAL_STATES

RANKS = {"high": 0, "medium": 1, "low": 2}
SAME_MOMENT_SECONDS = 0.05  # processes on a busy machine log one after the other what happened at the same time


@dataclass
class Ran:
    """What the workers' logs say of one task: times in seconds since the epoch, the workers of its starts."""

    task_id: str
    correlation_id: str | None = None
    starts: list[tuple[float, str]] = field(default_factory=list)
    completed: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    effects: int = 0


def runs_in(lines: Iterable[Line]) -> dict[str, Ran]:
    """Return, for each task that the workers' logs name, what became of it."""
    found: dict[str, Ran] = {}
    for line in lines:
        task_id = line.get("task_id")
        if not is_worker(line["service"]) or not task_id:
            continue
        ran = found.setdefault(task_id, Ran(task_id))
        ran.correlation_id = ran.correlation_id or line.get("correlation_id")
        message = str(line["message"])
        if line.get("hop") == "worker":
            ran.starts.append((line["ts"], line["service"]))
        elif line.get("effect") == "applied":
            ran.effects += 1
        elif message == "Rehearsal COMPLETE":
            ran.completed.append(line["ts"])
        elif message.startswith("Rehearsal FAILED"):
            ran.failed.append(line["ts"])
    return found


@dataclass
class Account:
    """What happened in one run. Lists are of requests, or of task IDs where their name says so.

    `states` has what the API said of each acknowledged task at the end: None where it did not answer. `settled` tells
    when each was seen to be final.
    """

    requests: Sequence[Request]
    runs: Mapping[str, Ran]
    states: Mapping[str, str | None]
    depths: Sequence[tuple[float, int]]
    ended_unexpectedly: Mapping[str, int]
    lines: Sequence[Line]

    def __post_init__(self) -> None:
        self.by_outcome: dict[str, list[Request]] = {"acknowledged": [], "refused": [], "undetermined": []}
        for request in self.requests:
            self.by_outcome[request.outcome].append(request)
        self._of_request: defaultdict[str, list[Ran]] = defaultdict(list)
        for ran in self.runs.values():
            if ran.correlation_id:
                self._of_request[ran.correlation_id].append(ran)

    @property
    def acknowledged(self) -> list[Request]:
        return self.by_outcome["acknowledged"]

    @property
    def refused(self) -> list[Request]:
        return self.by_outcome["refused"]

    @property
    def undetermined(self) -> list[Request]:
        return self.by_outcome["undetermined"]

    def only(self, label: str) -> Account:
        """Return the account of the requests with this label."""
        return replace(self, requests=[one for one in self.requests if one.label == label])

    def runs_of(self, request: Request) -> list[Ran]:
        """Return the tasks that ran for a request, found by its correlation ID."""
        return self._of_request[request.correlation_id]

    @property
    def lost(self) -> list[Request]:
        """Acknowledged, and never finished in the way that was due."""
        return [request for request in self.acknowledged if self._state(request) != request.due]

    @property
    def ghosts(self) -> list[Request]:
        """Refused, and run all the same."""
        return [request for request in self.refused if any(ran.starts for ran in self.runs_of(request))]

    @property
    def wrong_state(self) -> list[Request]:
        """What the API says contradicts the logs: SUCCESS without a complete run, or complete and not SUCCESS."""
        return [
            request
            for request in self.acknowledged
            if (self._state(request) == "SUCCESS") != bool(self._ran(request).completed)
        ]

    @property
    def twice(self) -> list[Request]:
        """Run under more than one task ID."""
        return [one for one in self.requests if sum(bool(ran.starts) for ran in self.runs_of(one)) > 1]

    @property
    def duplicate_effects(self) -> list[Request]:
        """Their effect was applied more than once, by one task or by several."""
        return [one for one in self.requests if sum(ran.effects for ran in self.runs_of(one)) > 1]

    @property
    def extra_runs(self) -> int:
        """How many runs there were beyond the first of each task, whose failures do not count."""
        return sum(max(0, len(ran.starts) - 1 - len(ran.failed)) for ran in self.runs.values())

    @property
    def started(self) -> int:
        """How many runs there were."""
        return sum(len(ran.starts) for ran in self.runs.values())

    @property
    def deepest(self) -> int | None:
        return max((depth for _, depth in self.depths), default=None)

    @property
    def resets(self) -> list[Request]:
        """Requests of which an attempt had no whole answer."""
        return [one for one in self.requests if any(attempt.status is None for attempt in one.attempts)]

    @property
    def most_at_once(self) -> int:
        """How many attempts were on their way at the same moment."""
        attempts = [attempt for one in self.requests for attempt in one.attempts]
        ends = [(attempt.sent_at + attempt.ms / 1000, -1) for attempt in attempts]
        on_their_way = itertools.accumulate(
            step for _, step in sorted([*((one.sent_at, 1) for one in attempts), *ends])
        )
        return max(on_their_way, default=0)

    @property
    def last_complete(self) -> float | None:
        return max((when for ran in self.runs.values() for when in ran.completed), default=None)

    def out_of_order(self, requests: Iterable[Request]) -> int:
        """Return how many of these tasks started while a more urgent one, accepted before, was still waiting."""
        first = [
            (ran.starts[0][0], RANKS[str(request.body["priority"])], answer.sent_at + answer.ms / 1000)
            for request in requests
            if (ran := self._ran(request)).starts and (answer := request.answer) is not None
        ]
        return sum(
            any(
                rank < own and accepted < start and start + SAME_MOMENT_SECONDS < other
                for other, rank, accepted in first
            )
            for start, own, _ in first
        )

    def failed_of(self, client: str) -> list[Request]:
        """Return the requests of one kind of client that were not accepted."""
        return [one for one in self.requests if one.client == client and one.outcome != "acknowledged"]

    def counts(self) -> dict[str, Any]:
        """Return all counts as JSON's types."""
        states = Counter(str(self._state(request)) for request in self.acknowledged)
        return {
            "requests": len(self.requests),
            "acknowledged": len(self.acknowledged),
            "refused": len(self.refused),
            "undetermined": len(self.undetermined),
            "lost": len(self.lost),
            "ghosts": len(self.ghosts),
            "wrong_state": len(self.wrong_state),
            "run_twice_under_two_ids": len(self.twice),
            "duplicate_effects": len(self.duplicate_effects),
            "runs": self.started,
            "extra_runs": self.extra_runs,
            "deepest_queue": self.deepest,
            "without_whole_answer": len(self.resets),
            "ended_unexpectedly": dict(self.ended_unexpectedly),
            "states": dict(states),
            "most_at_once": self.most_at_once,
            "latency_ms": latencies(self.requests),
            "by_client": {
                client: dict(Counter(one.outcome for one in self.requests if one.client == client))
                for client in sorted({one.client for one in self.requests})
            },
            "lost_tasks": [request.task_id for request in self.lost[:20]],
            "ghost_requests": [request.correlation_id for request in self.ghosts[:20]],
            "wrong_state_tasks": [request.task_id for request in self.wrong_state[:20]],
        }

    def _state(self, request: Request) -> str | None:
        return self.states.get(request.task_id or "")

    def _ran(self, request: Request) -> Ran:
        return self.runs.get(request.task_id or "", Ran(""))


def latencies(requests: Iterable[Request]) -> dict[str, float | None]:
    """Return p50, p99 and the maximum of the requests' latencies, in milliseconds."""
    found = sorted(ms for request in requests if (ms := request.ms) is not None)
    return {
        "p50": percentile(found, 50),
        "p99": percentile(found, 99),
        "max": percentile(found, 100),
    }


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest of the sorted `values` that `percent` of them do not exceed; None without values."""
    if not values:
        return None
    return round(values[max(0, math.ceil(percent / 100 * len(values)) - 1)], 2)


def incomplete(first: Mapping[str, str], lines: Sequence[Line], account: Account) -> list[str]:
    """Return why the logs cannot be complete, in words; empty when nothing shows that.

    `first` has the first line of each service from when the stack had come up: a log that was rotated away has lost it.
    """
    seen: dict[str, str] = {}
    for line in lines:
        seen.setdefault(line["service"], str(line["message"]))
    gone = [name for name in SERVICES if name in first and seen.get(name) != first[name]]
    reasons = [f"The log of {name} no longer has its first line." for name in gone]
    silent = [
        request for request in account.acknowledged
        if account.states.get(request.task_id or "") == "SUCCESS" and not account.runs.get(request.task_id or "")
    ]  # fmt: skip
    if silent:
        reasons.append(f"{len(silent)} tasks are SUCCESS and no log has a line of them.")
    return reasons


def unfinished(states: Mapping[str, str | None]) -> list[str]:
    """Return the tasks that have no final state."""
    return [task_id for task_id, state in states.items() if state not in FINAL_STATES]
