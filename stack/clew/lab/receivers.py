"""Receivers first: the five fixes on strict layers, rolled out one at a time, in one order and in another.

The layers run in a folder of their own, on a stack of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Protocol

from clew.core.errors import ClewError
from clew.core.marks import BEADS
from clew.core.wait import wait_until
from clew.evidence import client, journey, logs
from clew.lab import recordings, strict
from clew.lab.backend import CannotStart, cannot_start, progress, replay_wanted
from clew.lab.layers import layer_of
from clew.lab.strict import Outcome
from clew.show.display import Display, Table, UnifiedDiff, Words
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say
from clew.stacks.refresh import refresh
from clew.stacks.stack import strict_stack

LINES_SECONDS = 5
RESERVED = ExitStack()


class Rollout(Protocol):
    """What a notebook can ask of the experiment: `LiveRollout` runs it, `ReplayedRollout` has its recorded outcomes."""

    @property
    def note(self) -> str | None:
        """Where the outcomes come from; None when the experiment runs."""

    def up(self, say: Say) -> str:
        """Start nine services with strict layers, none fixed, and say so.

        Raises:
            CannotStart: they cannot be started.
        """

    def down(self) -> None:
        """Stop the services if `up` started them."""

    def outcomes(self, order: Sequence[str]) -> Iterator[Outcome]:
        """Yield what a request does, with nothing fixed and then after each fix.

        Raises:
            ClewError: the experiment is not up, a service did not come back, or this order was not recorded.
        """


class LiveRollout:
    """A stack of strict layers on which fixes are rolled out. See `Rollout` for what each method does."""

    note = None
    reserved = False  # by this process, so for all of its objects: a cell that makes one may run again

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.mix = "00000"

    def up(self, say: Say) -> str:
        self.mix = "00000"
        try:
            if not self.reserved:
                RESERVED.enter_context(lifecycle.reserved(strict_stack()))
                LiveRollout.reserved = True
            lifecycle.down(strict_stack())
            strict.write(self.mix, strict_stack().folder)
            self.driver, _ = lifecycle.up(strict_stack(), say)
        except ClewError as error:
            self._release()
            raise CannotStart(error.message, error.next_step) from None
        return "Nine services with strict layers are up; none of the five is fixed."

    def down(self) -> None:
        if self.driver is not None:
            lifecycle.down(strict_stack())
            self.driver = None
            self._release()

    def _release(self) -> None:
        RESERVED.close()
        LiveRollout.reserved = False

    def outcomes(self, order: Sequence[str]) -> Iterator[Outcome]:
        if self.driver is None:
            raise ClewError("The experiment is not up.", "experiment.up()")
        for number, mix in enumerate(strict.mixes(order)):
            self.mix = mix
            strict.write(mix, strict_stack().folder)
            refresh(strict_stack(), self.driver)
            yield self._outcome(self.driver, order[number - 1] if number else "nothing")

    def _outcome(self, driver: Driver, fixed: str) -> Outcome:
        answer = client.send(strict_stack(), journey.SENT_ID, client.seeded_body())
        if answer.status_code == 201:
            state = client.result(strict_stack(), answer.task_id)
            error = state["error"] and state["error"].removeprefix("TypeError: ")
            return Outcome(self.mix, fixed, answer.status_code, state["status"], error)
        found: list[str] = []

        def logged() -> bool:
            found[:] = [line["exception"] for line in logs.read(driver, answer.sent_at) if "exception" in line]
            return bool(found)

        wait_until(logged, LINES_SECONDS, "the exception in the logs", "make doctor", every=0.03)
        error = found[-1].splitlines()[-1].removeprefix("TypeError: ")
        return Outcome(self.mix, fixed, answer.status_code, None, error)


class ReplayedRollout:
    """The recorded outcomes. See `Rollout` for what each method does."""

    def __init__(self) -> None:
        self.recording = recordings.load("receivers")
        self.note = recordings.note(self.recording)

    def up(self, say: Say) -> str:
        return "The experiment is not started: a recording is replayed."

    def down(self) -> None:
        """Do nothing: nothing was started."""

    def outcomes(self, order: Sequence[str]) -> Iterator[Outcome]:
        strict.mixes(order)  # an order that names no five layers is told as such
        found = [Outcome(**entry["outcome"]) for entry in self.recording["runs"] if entry["order"] == list(order)]
        if not found:
            raise ClewError("This order was not recorded.", "make stage-5 up, to see whether stacks run here")
        yield from found


class ReceiversFirst:
    """The experiment: run or, where that cannot be, replayed. CLEW_REPLAY means what it means for `Stage`."""

    def __init__(self, rollout: Rollout | None = None) -> None:
        wanted = replay_wanted()
        self.may_fall_back = wanted is None
        self.rollout: Rollout = rollout or (ReplayedRollout() if wanted else LiveRollout())
        self.first = self.rollout

    @property
    def note(self) -> str | None:
        return self.rollout.note

    def change(self, hop: str) -> UnifiedDiff:
        """Show what makes a layer strict.

        Raises:
            ClewError: there is no such layer.
        """
        return UnifiedDiff(strict.strict_diff(layer_of(hop, 'experiment.change("task-service")')))

    def up(self) -> Display:
        """Start nine services with strict layers, none fixed; where that cannot be, say so and replay a recording.

        The next call tries to start them again.

        Raises:
            ClewError: they cannot be started, and CLEW_REPLAY=0 forbids to replay a recording.
        """
        self.rollout = self.first
        try:
            with progress() as say:
                words = self.rollout.up(say)
        except CannotStart as error:
            if not self.may_fall_back:
                raise
            self.rollout = ReplayedRollout()
            return Words(cannot_start("The experiment", error), ok=False, note=self.note)
        return Words(words, ok=None if self.note else True, note=self.note)

    def down(self) -> Display:
        """Stop the experiment's services."""
        self.rollout.down()
        return Words("The experiment's services are down.", note=self.note)

    def roll_out(self, order: Sequence[str], prediction: Mapping[str, str] | None = None) -> Table:
        """Fix one layer after another in this order and send a request after each; a prediction is shown next to it.

        Raises:
            ClewError: the experiment is not up, a service did not come back, or this order was not recorded.
        """
        try:
            found = list(self.rollout.outcomes(order))
        except KeyboardInterrupt:
            self.rollout.down()
            raise
        return table(found, prediction, self.note)


def table(outcomes: Sequence[Outcome], prediction: Mapping[str, str] | None = None, note: str | None = None) -> Table:
    """Show outcomes, a row each, with what was predicted for each fix when there is a prediction."""
    said = ["you said"] if prediction is not None else []
    head = ["fixed so far", *said, "answer", "task", "what the code said"]
    rows = []
    for outcome in outcomes:
        good = outcome.status_code == 201 and outcome.task == "SUCCESS"
        step = "nothing" if outcome.fixed == "nothing" else f"+ {outcome.fixed}"
        predicted = [prediction.get(outcome.fixed, "")] if prediction is not None else []
        answer = [f"HTTP {outcome.status_code}", outcome.task or "none was created", outcome.error or ""]
        rows.append([f"{BEADS['kept' if good else 'missing']} {step}", *predicted, *answer])
    return Table(head, rows, note, {"outcomes": [asdict(outcome) for outcome in outcomes]})
