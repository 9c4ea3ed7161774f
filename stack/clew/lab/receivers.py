"""Receivers first: the same five fixes with strict signatures, rolled out one at a time, in one order and another.

A strict layer has no `**_` to swallow what it does not know. So a sender that is fixed before its receiver breaks it.
The layers run in a folder of their own, on a stack of their own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.marks import BEADS
from clew.core.wait import wait_until
from clew.evidence import client, journey, logs
from clew.show.display import Display, Table, UnifiedDiff, Words
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say
from clew.stacks.stack import strict_stack

LINES_SECONDS = 5


@dataclass(frozen=True)
class Outcome:
    """What one request did while the layers of `mix` were fixed; `task` is None when none was made."""

    mix: str
    fixed: str
    status_code: int
    task: str | None
    error: str | None


def strict(text: str) -> str:
    """Return a layer's source without the `**_` that takes what the layer does not know."""
    return re.sub(r",\s*\*\*_(: Any)?", "", text)


def strict_diff(layer: ladder.Layer, fixed: bool = False) -> list[str]:
    """Return what `strict` changes in a layer's file, as a unified diff."""
    text = ladder.source(layer, fixed).read_text()
    names = (f"{layer.file} (tolerant)", f"{layer.file} (strict)")
    return list(difflib.unified_diff(text.splitlines(), strict(text).splitlines(), *names, lineterm="", n=2))


def write(mix: str) -> None:
    """Write the strict layers of `mix` into the experiment's folder."""
    stack = strict_stack()
    ladder.write_mix(mix, stack.folder)
    for layer in ladder.LAYERS:
        path = stack.folder / layer.file
        path.write_text(strict(path.read_text()))


def mixes(order: Sequence[str]) -> list[str]:
    """Return the mixes of a rollout: nothing fixed, then one more layer at a time in this order.

    Raises:
        ClewError: the order does not name each of the five layers once.
    """
    if sorted(order) != sorted(ladder.HOPS):
        raise ClewError(f"An order names each layer once: {', '.join(ladder.HOPS)}.", "mend the cell and run it again")
    steps = [set(order[:count]) for count in range(len(order) + 1)]
    return ["".join("1" if hop in step else "0" for hop in ladder.HOPS) for step in steps]


def expected(mix: str) -> tuple[int, str | None]:
    """Return the answer's status code and the task's end on a mix of strict layers.

    The routes and the task service, once fixed, pass the argument always; the queue service only when it has an ID.
    """
    _, routes, task_service, queue_service, worker = (fixed == "1" for fixed in ladder.checked_mix(mix))
    if (routes and not task_service) or (task_service and not queue_service):
        return 500, None
    return 201, "FAILURE" if routes and queue_service and not worker else "SUCCESS"


class ReceiversFirst:
    """The experiment: a stack of strict layers on which fixes are rolled out."""

    def __init__(self) -> None:
        from clew.lab import notebook, record

        self.driver: Driver | None = None
        self.mix = "00000"
        self.recording = record.load("receivers") if notebook.wants_replay() else None

    @property
    def note(self) -> str | None:
        from clew.lab import notebook

        return notebook.replay_note(self.recording) if self.recording else None

    def change(self, hop: str) -> UnifiedDiff:
        """Show what makes a layer strict."""
        return UnifiedDiff(strict_diff(next(layer for layer in ladder.LAYERS if layer.hop == hop)))

    def up(self, say: Say | None = None) -> Display:
        """Start nine services with strict layers, none fixed; where that cannot be, say so and play a recording.

        Raises:
            ClewError: they cannot be started, and CLEW_REPLAY=0 forbids to play a recording.
        """
        from clew.lab import notebook, record

        if self.recording:
            return Words("The experiment is not started: a recording is played.", note=self.note)
        write(self.mix)
        try:
            lifecycle.down(strict_stack())
            self.driver, _ = lifecycle.up(strict_stack(), say or notebook.say)
        except ClewError as error:
            if notebook.wants_replay() is False:
                raise
            self.recording = record.load("receivers")
            words = f"The experiment cannot be started: {error.message}\nUntil then a recording is played."
            return Words(words, ok=False, note=self.note)
        finally:
            notebook.quiet()
        return Words("Nine services with strict layers are up; none of the five is fixed.", ok=True)

    def down(self) -> Display:
        """End the experiment's services."""
        if self.driver is not None:
            lifecycle.down(strict_stack())
            self.driver = None
        return Words("The experiment's services are down.", note=self.note)

    def roll_out(self, order: Sequence[str], prediction: Mapping[str, str] | None = None) -> Table:
        """Fix one layer after the other in this order, and send a request after each; show a prediction beside it.

        Raises:
            ClewError: the experiment is not up, a service did not come back, or this order was not recorded.
        """
        if self.recording:
            known: list[dict[str, Any]] = self.recording["runs"]
            found = [Outcome(**entry["outcome"]) for entry in known if entry["order"] == list(order)]
            if not found:
                raise ClewError("This order was not recorded.", "make stage-5 up, to see that stacks run here")
        else:
            try:
                found = list(self.outcomes(order))
            except KeyboardInterrupt:
                self.down()
                raise
        return table(found, prediction, self.note)

    def outcomes(self, order: Sequence[str]) -> Iterator[Outcome]:
        if self.driver is None:
            raise ClewError("The experiment is not up.", "experiment.up()")
        for number, mix in enumerate(mixes(order)):
            self.switch(mix)
            yield self.outcome(order[number - 1] if number else "nothing")

    def switch(self, mix: str) -> None:
        """Put the strict layers of another mix into the running stack, as `journey.switch` does with tolerant ones."""
        assert self.driver is not None
        before, self.mix = self.mix, mix
        write(mix)
        journey.restart_changed(strict_stack(), self.driver, before, mix)

    def outcome(self, fixed: str) -> Outcome:
        assert self.driver is not None
        answer = client.send(strict_stack(), "MY-TRACE-123", client.seeded_body())
        if answer.status_code == 201:
            state = client.result(strict_stack(), answer.task_id)
            error = state["error"] and state["error"].removeprefix("TypeError: ")
            return Outcome(self.mix, fixed, answer.status_code, state["status"], error)
        found: list[str] = []

        def told() -> bool:
            assert self.driver is not None
            found[:] = [line["exception"] for line in logs.read(self.driver, answer.sent_at) if "exception" in line]
            return bool(found)

        wait_until(told, LINES_SECONDS, "the exception in the logs", "make doctor", every=0.03)
        return Outcome(
            self.mix, fixed, answer.status_code, None, found[-1].splitlines()[-1].removeprefix("TypeError: ")
        )


def table(outcomes: Sequence[Outcome], prediction: Mapping[str, str] | None = None, note: str | None = None) -> Table:
    said = ["you said"] if prediction is not None else []
    head = ["fixed so far", *said, "answer", "task", "what the code said"]
    rows = []
    for outcome in outcomes:
        good = outcome.status_code == 201 and outcome.task == "SUCCESS"
        step = "nothing" if outcome.fixed == "nothing" else f"+ {outcome.fixed}"
        predicted = [prediction.get(outcome.fixed, "")] if prediction is not None else []
        answer = [f"HTTP {outcome.status_code}", outcome.task or "none was made", outcome.error or ""]
        rows.append([f"{BEADS['kept' if good else 'missing']} {step}", *predicted, *answer])
    return Table(head, rows, note, {"outcomes": [asdict(outcome) for outcome in outcomes]})
