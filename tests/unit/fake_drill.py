"""Requests, log lines and a driver for tests of drills, without any service."""

from __future__ import annotations

import json
from typing import Any

from clew.core.lines import Line
from clew.drills.account import Account, runs_in
from clew.drills.model import Attempt, Request
from clew.stacks.services import SERVICES


def request(number: int, *statuses: int | None, task_id: str | None = None, **fields: Any) -> Request:
    """Return a request with one attempt for each status; an accepted one has the task `t<number>`."""
    made = Request(number, f"c{number}", fields.pop("client", "plain"), {"priority": fields.pop("priority", "medium")},
                   fields.pop("planned_at", 100.0), **fields)  # fmt: skip
    for status in statuses:
        accepted = status in (200, 201)
        made.attempts.append(Attempt(100.0, 5.0, status, (task_id or f"t{number}") if accepted else None))
    return made


def start(number: int, at: float = 101.0, worker: str = "celery-worker-1", task_id: str | None = None) -> Line:
    return line(number, at, worker, task_id, hop="worker", message="Rehearsal START")


def complete(number: int, at: float = 102.0, worker: str = "celery-worker-1", task_id: str | None = None) -> Line:
    return line(number, at, worker, task_id, message="Rehearsal COMPLETE", duration_ms=1.0)


def applied(number: int, word: str = "applied", task_id: str | None = None) -> Line:
    return line(number, 101.5, "celery-worker-1", task_id, message=f"Booking {word}", effect=word)


def line(number: int, at: float, worker: str, task_id: str | None, **fields: Any) -> Line:
    return {"ts": at, "service": worker, "task_id": task_id or f"t{number}", "correlation_id": f"c{number}", **fields}


def account(requests: list[Request], lines: list[Line], states: dict[str, str | None] | None = None) -> Account:
    """Return the account of these; without `states`, every accepted task is a SUCCESS."""
    accepted = [one.task_id for one in requests if one.task_id]
    return Account(requests, runs_in(lines), states or dict.fromkeys(accepted, "SUCCESS"), [(100.0, 3)], {}, lines)


class FakeDriver:
    """Nine services as words: what `kill` and the like do to them can be turned off."""

    name = "local"

    def __init__(self, works: bool = True) -> None:
        self.works = works
        self.states = dict.fromkeys(SERVICES, "running")
        self.began = dict.fromkeys(SERVICES, 1.0)
        self.texts: dict[str, list[str]] = {
            service: [json.dumps({"ts": 1.0, "message": f"{service} begins"})] for service in SERVICES
        }

    def _become(self, service: str, state: str) -> None:
        if self.works:
            self.states[service] = state

    def status(self) -> dict[str, str]:
        return dict(self.states)

    def started(self) -> dict[str, float]:
        return {name: when for name, when in self.began.items() if self.states[name] != "stopped"}

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        return self.texts

    def kill(self, service: str) -> None:
        self._become(service, "stopped")

    stop = kill

    def pause(self, service: str) -> None:
        self._become(service, "paused")

    def unpause(self, service: str) -> None:
        self._become(service, "running")

    def start(self, service: str) -> None:
        self.began[service] += 1
        self._become(service, "running")

    def reload_nginx(self) -> None:
        pass
