"""The stack on which notebooks 8 and 9 try things out: it runs, or it is replayed, behind one protocol.

A trial is a function that does something to a `Scene` of `clew.drills` and returns what was seen, as plain JSON data.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol

from clew.core.errors import ClewError
from clew.drills.scene import Scene
from clew.evidence import client
from clew.lab import recordings
from clew.lab.backend import CannotStart, progress, replay_wanted
from clew.show.display import Display, Words
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say, running_driver
from clew.stacks.drivers.choice import wanted_driver
from clew.stacks.stack import drill_stack

LOOK_SECONDS = 0.1
RESERVED = ExitStack()

Seen = dict[str, Any]
Trial = Callable[[Scene], Seen]


class Bench(Protocol):
    """Where trials are tried: `LiveBench` runs them, `ReplayedBench` has what was seen in a recorded run."""

    @property
    def note(self) -> str | None:
        """Where what is seen comes from; None when the stack runs."""

    @property
    def settings(self) -> str:
        """The settings that `up` was called with last; empty before."""

    def up(self, settings: str, say: Say) -> str:
        """Start the nine services with these settings, "durable" or "stock", and say so.

        Raises:
            CannotStart: they cannot be started.
        """

    def down(self) -> None:
        """Stop the services if `up` started them."""

    def see(self, trial: Trial) -> Seen:
        """Try something; return what was seen.

        Raises:
            ClewError: the stack is not up, or this trial was not recorded with these settings.
        """


class LiveBench:
    """The drills' own stack. See `Bench` for what each method does."""

    note = None
    reserved = False  # by this process, so for all of its objects: a cell that makes one may run again

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.settings = ""

    def up(self, settings: str, say: Say) -> str:
        stack = drill_stack(settings)
        try:
            if not self.reserved:
                RESERVED.enter_context(lifecycle.reserved(stack))
                LiveBench.reserved = True
            if running_driver(stack, everywhere=wanted_driver() != "local") is not None:
                lifecycle.down(stack)
            self.settings, self.driver = settings, lifecycle.start(stack, say).driver
        except ClewError as error:
            self._release()
            raise CannotStart(error.message, error.next_step) from None
        try:
            client.warm_up(stack)
        except BaseException:
            self.down()
            raise
        return f"Nine services are up, with {settings} settings."

    def down(self) -> None:
        if self.driver is not None:
            lifecycle.down(drill_stack(self.settings))
            self.driver = None
            self._release()

    def _release(self) -> None:
        RESERVED.close()
        LiveBench.reserved = False

    def see(self, trial: Trial) -> Seen:
        if self.driver is None:
            raise ClewError("The services are not up.", "run the cell with .up() again")
        stack = drill_stack(self.settings)
        with progress() as say:
            scene = Scene(stack, self.driver, self.settings, f"lesson/{trial.__name__}", {}, say)
            scene.watch.every = LOOK_SECONDS
            scene.watch.begin()
            try:
                return trial(scene)
            except KeyboardInterrupt:
                scene.sender.stop()
                self.down()
                raise
            finally:
                if self.driver is not None:
                    scene.heal_all()
                scene.sender.stop()
                scene.watch.end()


class ReplayedBench:
    """What was seen in recorded trials. See `Bench` for what each method does."""

    def __init__(self) -> None:
        self.recording = recordings.load("trials")
        self.note = recordings.note(self.recording)
        self.settings = ""

    def up(self, settings: str, say: Say) -> str:
        self.settings = settings
        return f"The services are not started: a recording with {settings} settings is replayed."

    def down(self) -> None:
        """Do nothing: nothing was started."""

    def see(self, trial: Trial) -> Seen:
        if not self.settings:
            raise ClewError("No settings were chosen.", "run the cell with .up() again")
        return recorded(self.recording, trial.__name__, self.settings)


def recorded(recording: recordings.Recording, trial: str, settings: str) -> Seen:
    """Return what was seen in a recorded trial.

    Raises:
        ClewError: it was not recorded.
    """
    for entry in recording["runs"]:
        if (entry["trial"], entry["settings"]) == (trial, settings):
            return dict(entry["seen"])
    raise ClewError(f"The trial {trial} was not recorded with {settings} settings.", "make record")


class Trials:
    """What notebooks 8 and 9 have in common. CLEW_REPLAY means what it means for `Stage`."""

    def __init__(self, bench: Bench | None = None) -> None:
        wanted = replay_wanted()
        self.may_fall_back = wanted is None
        self.bench: Bench = bench or (ReplayedBench() if wanted else LiveBench())
        self.first = self.bench

    @property
    def note(self) -> str | None:
        return self.bench.note

    def up(self, settings: str = "durable") -> Display:
        """Start nine services, new ones, with "durable" or "stock" settings; those that are up already are stopped.

        Where they cannot be started, say so and replay a recording; the next call tries to start them again.

        Raises:
            ClewError: there are no such settings, or CLEW_REPLAY=0 forbids to replay a recording.
        """
        if settings not in ("durable", "stock"):
            raise ClewError(f"There are no settings {settings!r}; there are durable and stock.", '.up("stock")')
        self.bench = self.first
        try:
            with progress() as say:
                words = self.bench.up(settings, say)
        except CannotStart as error:
            if not self.may_fall_back:
                raise
            self.bench = ReplayedBench()
            self.bench.up(settings, print)
            return Words(
                f"The services cannot be started: {error.message}\n"
                f"To run them: {error.next_step}, then run this cell again.\nUntil then a recording is replayed.",
                ok=False,
                note=self.note,
            )
        return Words(words, ok=None if self.note else True, note=self.note)

    def down(self) -> Display:
        """Stop the services."""
        self.bench.down()
        return Words("The services are down.", note=self.note)
