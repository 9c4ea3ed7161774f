"""Notebook 10: a crowd of requests, whose log lines are asked in SQL."""

from __future__ import annotations

from typing import Any

from clew.core.lines import Line
from clew.drills.model import exactly
from clew.evidence import client, logs
from clew.evidence.client import Answer
from clew.show.display import Table
from clew.stacks.drivers import Driver
from clew.stacks.stack import Stack

# Every fifth ID has a space in it, so that no stage accepts it.
IDS = tuple(f"ORDER {number}" if number % 5 == 0 else f"ORDER-{number}" for number in range(1, 21))
LINES_SECONDS = 20


def send(stack: Stack, driver: Driver) -> tuple[list[Answer], list[Line]]:
    """Send one request for each of IDS; return the answers and all log lines from then on, once all tasks are done.

    Raises:
        ClewError: one was not accepted, or its lines did not appear.
    """
    answers = [client.send_task(stack, sent_id, client.seeded_body()) for sent_id in IDS]
    tasks = [answer.task_id for answer in answers]
    lines = logs.of_tasks(driver, answers[0].sent_at - 0.002, tasks, LINES_SECONDS, stack.command("status"))
    return answers, lines


def table(answers: list[Answer], note: str | None) -> Table:
    """Show what a crowd sent, and what it was answered."""
    rows = [[answer.sent_id, str(answer.status_code), answer.answered_id, answer.task_id] for answer in answers]
    kept = sum(answer.answered_id == answer.sent_id for answer in answers)
    facts: dict[str, Any] = {
        "checks": [
            vars(exactly("requests answered 201", len(IDS), sum(answer.status_code == 201 for answer in answers))),
            vars(exactly("usable IDs kept", sum(" " not in sent for sent in IDS), kept)),
        ]
    }
    shown = [rows[0], rows[1], ["…", "", "", ""], *rows[3:5]]
    return Table(("sent", "status", "answered", "task"), shown, note, facts, f"{len(answers)} requests were sent.")
