"""What a notebook gets back: a traced request, an answer, the 32 mixes, and a prediction compared with a run."""

from __future__ import annotations

import json
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.evidence.client import Answer
from clew.evidence.trace import Run
from clew.lab import recordings
from clew.show.display import Display, LogDiff, Matrix, Table, Timeline, Trail, Words

VERDICTS = ("kept", "replaced", "missing", "?")


class Traced(Display):
    """A traced request; `before | after` compares the logs of two."""

    def __init__(self, run: Run, note: str | None = None) -> None:
        self.run, self.note = run, note
        self.task_id, self.status, self.result, self.lines = run.task_id, run.status, run.result, run.lines

    def trace(self) -> Trail:
        """Show the five hops as a thread."""
        return Trail(self.run, self.note)

    def timeline(self) -> Timeline:
        """Show where the time of the request went."""
        return Timeline(self.run, self.note)

    def compared(self, prediction: dict[str, str]) -> Table:
        """Compare a prediction, a verdict for each hop, with what happened."""
        rows = []
        for hop in self.run.hops:
            said = prediction.get(hop.hop, "?")
            told = {"?": "no prediction yet", hop.verdict: "as you said"}.get(said, "not as you said: look here")
            rows.append([hop.hop, said, hop.verdict, told])
        facts = {"verdicts": list(self.run.verdicts), "stage": self.run.stage}
        return Table(["hop", "you said", "it was", ""], rows, self.note, facts)

    def __or__(self, after: Traced) -> LogDiff:
        return LogDiff(self.run, after.run, self.note or after.note)

    def text(self) -> str:
        return self.trace().text()

    def html(self) -> str:
        return self.trace().html()

    def facts(self) -> dict[str, Any]:
        return self.trace().facts()


class Submitted(Words):
    """What the client got back for its POST."""

    def __init__(self, answer: Answer, note: str | None = None) -> None:
        self.answer = answer
        self.task_id = answer.body.get("task_id")
        super().__init__(
            f"HTTP {answer.status_code}\nX-Request-ID: {answer.answered_id}\n\n{json.dumps(answer.body)}", note=note
        )


def lattice() -> Matrix:
    """Show the recorded runs of all 32 mixes; `make lattice` runs them on this machine."""
    recording = recordings.load("lattice")
    return Matrix([recordings.run_of(entry) for entry in recording["runs"]], recordings.note(recording))


def predict(**verdicts: str) -> dict[str, str]:
    """Note a prediction for nginx, routes, task_service, queue_service and worker: kept, replaced, missing, or ? for
    none.

    Raises:
        ClewError: a name that is not a hop, or a word that is not a verdict.
    """
    prediction = {name.replace("_", "-"): str(verdict).lower() for name, verdict in verdicts.items()}
    again = "correct the cell and run it again"
    for hop, verdict in prediction.items():
        if hop not in ladder.HOPS:
            raise ClewError(f"{hop!r} is not a hop; the five are {', '.join(ladder.HOPS)}.", again)
        if verdict not in VERDICTS:
            raise ClewError(f"{verdict!r} is not a verdict; say {', '.join(VERDICTS)}.", again)
    open_hops = [hop for hop in ladder.HOPS if prediction.get(hop, "?") == "?"]
    print(f"Still open: {', '.join(open_hops)}." if open_hops else "Noted. Now run it.")
    return prediction
