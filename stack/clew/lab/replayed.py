"""A stage that is replayed: its answers come from a recording."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence.client import Answer
from clew.evidence.journey import SENT_ID
from clew.evidence.trace import Run
from clew.evidence.two import Two
from clew.lab import recordings
from clew.lab.backend import Data


class ReplayedStage:
    """See `Backend` for what each method does. A request that was not recorded is refused with ClewError."""

    def __init__(self, number: int) -> None:
        recording = recordings.load("stages")
        entry = recording["runs"][number]
        self.number = number
        self.note = recordings.note(recording)
        self._message: Data = entry["message"]
        self._runs: list[tuple[Data | None, Run]] = [(None, recordings.run_of(entry))]
        self._answers: list[Data] = []
        self._waiting: list[Data] = []  # submitted while no worker consumed
        self._clicks: list[Data] = []
        self._crowds: list[Data] = []
        if number == ladder.FIXED.number:
            ids = recordings.load("three-ids")
            self._runs += [(entry["data"], recordings.run_of(entry)) for entry in ids["runs"]]
            self._answers, self._waiting = list(ids["answers"]), list(ids["waiting"])
            self._clicks = ids["clicks"]

    def up(self) -> str:
        return f"Stage {self.number} is not started: a recording is replayed."

    def down(self) -> None:
        """Do nothing: nothing was started."""

    def submit(self, correlation_id: str, data: Data | None) -> Answer:
        for waiting in self._waiting:
            if waiting["sent_id"] == correlation_id:
                body = {"task_id": waiting["task_id"], "status": "PENDING"}
                return Answer(correlation_id, 0.0, 0.0, 201, correlation_id, body)
        run = self.trace(correlation_id, data)
        body = {"task_id": run.task_id, "status": "PENDING"}
        return Answer(run.sent_id, run.sent_at, run.answered_ms, 201, run.answered_id, body)

    def crowd(self) -> list[Answer]:
        for entry in recordings.load("crowds")["runs"]:
            if entry["stage"] == self.number:
                self._crowds += [entry]
                return [Answer(**answer) for answer in entry["answers"]]
        raise ClewError(
            f"No crowd was recorded on stage {self.number}.", f"make stage-{self.number} up, to send your own"
        )

    def new_key(self) -> str:
        return next((str(click["key"]) for click in self._clicks), "not-recorded")

    def click(self, correlation_id: str, key: str, data: Data | None) -> Answer:
        for click in self._clicks:
            if (click["answer"]["sent_id"], click["key"], click["data"]) == (correlation_id, key, data):
                return Answer(**click["answer"])
        raise ClewError(
            f"The recording has no request with the ID {correlation_id!r}, the key {key!r} and this data.",
            f"make stage-{self.number} up, to send your own",
        )

    def lines(self, since: Answer | None) -> list[Line]:
        of_runs = [line for _, run in self._runs for line in run.lines]
        return of_runs + [line for entry in (*self._clicks, *self._crowds) for line in entry["lines"]]

    def trace(self, correlation_id: str, data: Data | None) -> Run:
        for recorded_data, run in self._runs:
            if (run.sent_id, recorded_data) == (correlation_id, data):
                return run
        known = ", ".join(sorted({run.sent_id for _, run in self._runs}))
        raise ClewError(
            f"The recording has no request with the ID {correlation_id!r} and this data; it has {known}.",
            f"make stage-{self.number} up, to send your own",
        )

    def two(self) -> Two:
        return Two.from_json(recordings.load("two")["runs"][self.number])

    def once(self, correlation_id: str) -> Run:
        return self.trace(correlation_id, None)

    def message(self, correlation_id: str) -> Data:
        if correlation_id != SENT_ID:
            raise ClewError(
                f"The recording has no message with the ID {correlation_id!r}; it has {SENT_ID}.",
                f"make stage-{self.number} up, to send your own",
            )
        return self._message

    def nobody_consuming(self) -> AbstractContextManager[None]:
        return nullcontext()

    def ask(self, method: str, task_id: str) -> Data:
        """Return the next recorded answer about a task; the last one is repeated."""
        found = [answer for answer in self._answers if (answer["method"], answer["task_id"]) == (method, task_id)]
        if not found:
            raise ClewError(
                f"The recording has no {method} of {task_id}.", f"make stage-{self.number} up, to ask your own"
            )
        if len(found) > 1:
            self._answers.remove(found[0])
        return found[0]
