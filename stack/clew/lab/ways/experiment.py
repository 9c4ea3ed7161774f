"""The comparison as a notebook calls it: run or, where that cannot be, replayed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Protocol

from clew.core.errors import ClewError
from clew.core.marks import BEADS
from clew.core.paths import shown
from clew.drills.model import Check
from clew.evidence.timeline import Span as Bar
from clew.evidence.timeline import spans as bars_of
from clew.lab import recordings
from clew.lab.backend import CannotStart, cannot_start, progress, replay_wanted
from clew.lab.ways import cases, compare, cost, folder, trial
from clew.lab.ways.cases import CASES, Case
from clew.lab.ways.compare import Comparison
from clew.lab.ways.cost import Cost
from clew.lab.ways.trial import Trial
from clew.show import svg
from clew.show.display import Display, Plot, Source, Table, Words
from clew.stacks.drivers import Driver, Say
from clew.stacks.stack import Stack

NOTEBOOK_ROUNDS = 5


def all_ways(say: Say) -> Comparison:
    """Compare the three ways on this machine; the stack is down before and after.

    Raises:
        ClewError: a stack or program did not start, a request was refused, or its lines did not appear.
    """
    trials = list(trial.trials(say))
    say("Running the small program in all three ways.")
    found = {way: cases.run(way) for way in folder.WAYS}
    say("Measuring what a POST costs.")
    return Comparison(trials, found, cost.measure(say))


class Backend(Protocol):
    """Where a notebook's answers come from: `Live` runs everything, `Replayed` has a recorded comparison."""

    @property
    def note(self) -> str | None:
        """Where the answers come from; None when everything runs."""

    def up(self, say: Say) -> str:
        """Start the nine services, the ID carried by hand, and say so.

        Raises:
            CannotStart: they cannot be started.
        """

    def down(self) -> None:
        """Stop the services if `up` started them."""

    def trial(self, way: str) -> Trial:
        """Carry the ID in this way, and look where it is."""

    def cases(self) -> Mapping[str, list[Case]]:
        """Return what came of each case in each way."""

    def costs(self) -> list[Cost]:
        """Return what a POST costs in each way."""


class Live:
    """The nine services of the ways' own stack. See `Backend` for what each method does."""

    note = None
    reserved = ExitStack()  # by this process, so for all of its objects: a cell that makes one may run again

    def __init__(self) -> None:
        self.driver: Driver | None = None
        self.stack: Stack | None = None
        self.way = folder.BY_HAND

    def up(self, say: Say) -> str:
        try:
            self.reserved.close()
            self.stack = self.reserved.enter_context(trial.stack_for_ways())
            self.driver, self.way = trial.switch(self.stack, folder.BY_HAND, None, say), folder.BY_HAND
        except ClewError as error:
            self.down()
            raise CannotStart(error.message, error.next_step) from None
        return "Nine services are up; the ID is carried by hand."

    def down(self) -> None:
        self.reserved.close()
        self.driver = None

    def trial(self, way: str) -> Trial:
        if self.driver is None or self.stack is None:
            raise ClewError("The services are not up.", "run the cell with .up() again")
        if way != self.way:
            trial.switch(self.stack, way, self.driver, print)
            self.way = way
        return trial.trial(self.stack, self.driver, way)

    def cases(self) -> Mapping[str, list[Case]]:
        return {way: cases.run(way) for way in folder.WAYS}

    def costs(self) -> list[Cost]:
        return cost.measure(lambda text: None, NOTEBOOK_ROUNDS)


class Replayed:
    """A recorded comparison. See `Backend` for what each method does."""

    def __init__(self) -> None:
        recording = recordings.load("ways")
        self.note = recordings.note(recording)
        self.seen = Comparison.from_json(recording)

    def up(self, say: Say) -> str:
        return "The services are not started: a recording is replayed."

    def down(self) -> None:
        """Do nothing: nothing was started."""

    def trial(self, way: str) -> Trial:
        return next(one for one in self.seen.trials if one.way == way)

    def cases(self) -> Mapping[str, list[Case]]:
        return {way: list(found) for way, found in self.seen.cases.items()}

    def costs(self) -> list[Cost]:
        return list(self.seen.costs)


class ThreeWays:
    """The comparison of three ways to carry an ID. CLEW_REPLAY means what it means for `Stage`."""

    def __init__(self, backend: Backend | None = None) -> None:
        wanted = replay_wanted()
        self.may_fall_back = wanted is None
        self.backend: Backend = backend or (Replayed() if wanted else Live())
        self.trials: dict[str, Trial] = {}

    @property
    def note(self) -> str | None:
        return self.backend.note

    def up(self) -> Display:
        """Start nine services, the ID carried by hand; where that cannot be, say so and replay a recording.

        Raises:
            ClewError: they cannot be started, and CLEW_REPLAY=0 forbids to replay a recording.
        """
        try:
            with progress() as say:
                words = self.backend.up(say)
        except CannotStart as error:
            if not self.may_fall_back:
                raise
            self.backend = Replayed()
            return Words(cannot_start("The experiment", error), ok=False, note=self.note)
        return Words(words, ok=None if self.note else True, note=self.note)

    def down(self) -> Display:
        """Stop the experiment's services."""
        self.backend.down()
        return Words("The experiment's services are down.", note=self.note)

    def source(self, way: str) -> Source:
        """Show a way's own module, `carry.py`.

        Raises:
            ClewError: there is no such way, or it has no module of its own.
        """
        own = folder.SOURCES / self._known(way) / folder.CARRY
        if not own.exists():
            raise ClewError(f"{way} has no module of its own.", 'experiment.source("context")')
        return Source(shown(own), 1, own.read_text().splitlines(), (), True, "")

    def run(self, way: str) -> Plot:
        """Have the nine services carry the ID in this way, send a request and trace it.

        With it go a task that is retried and one whose message is lost; `table` shows what came of them.

        Raises:
            ClewError: there is no such way, the services are not up, or do not do it.
        """
        with progress() as say:
            say(f"Carrying the ID: {folder.WAYS[self._known(way)]}.")
            self.trials[way] = self.backend.trial(way)
        seen = self.trials[way]
        rows = [
            [f"{BEADS[hop.verdict]} {hop.hop}", hop.id or "", hop.shown_ms, hop.service or ""] for hop in seen.run.hops
        ]
        words = [f"{folder.WAYS[way]}: {seen.run.verdicts.count('kept')} of {len(rows)} hops hand the ID on."]
        hops = Table(("hop", "hands on", "after", "service"), rows)
        return Plot(svg.trail(seen.run.verdicts), hops, words, compare.checks_of_trials([seen]), self.note)

    @staticmethod
    def _known(way: str) -> str:
        if way not in folder.WAYS:
            raise ClewError(
                f"There is no way {way!r}; there are {', '.join(folder.WAYS)}.", 'experiment.run("context")'
            )
        return way

    def table(self) -> Table:
        """Show what the nine services have shown of the ways that were run.

        Raises:
            ClewError: nothing was run.
        """
        if not self.trials:
            raise ClewError("No way was run yet.", 'experiment.run("by-hand")')
        trials = list(self.trials.values())
        head = ["", *(folder.WAYS[one.way] for one in trials)]
        return Table(head, compare.nine_services(trials), self.note, _facts(compare.checks_of_trials(trials)))

    def waterfall(self) -> Plot:
        """Show the spans of the request that was traced with OpenTelemetry, and where its log lines say its time went.

        Raises:
            ClewError: OpenTelemetry was not run.
        """
        seen = self._opentelemetry()
        bars = waterfall(seen)
        rows = [[bar.where, bar.what, f"{bar.start:.1f} ms", f"{bar.end - bar.start:.1f} ms"] for bar in bars]
        words = [f"{len(seen.spans)} spans, all of trace {seen.spans[0].trace_id.removeprefix('0x')}."]
        checks = compare.checks_of_trials([seen])
        return Plot(svg.bars(bars), Table(("service", "span", "begins", "takes"), rows), words, checks, self.note)

    def headers(self) -> Table:
        """Show what became of the headers of four clients, with OpenTelemetry.

        Raises:
            ClewError: OpenTelemetry was not run.
        """
        return Table(compare.HEADERS_HEAD, compare.headers(self._opentelemetry().heard), self.note)

    def _opentelemetry(self) -> Trial:
        if folder.OPENTELEMETRY not in self.trials:
            raise ClewError("OpenTelemetry was not run yet.", 'experiment.run("opentelemetry")')
        return self.trials[folder.OPENTELEMETRY]

    def cases(self, prediction: Mapping[str, str] | None = None) -> Table:
        """Run the small program in all three ways; a prediction of what the context variable keeps is shown next to it.

        Raises:
            ClewError: the program did not end well.
        """
        found = self.backend.cases()
        rows = compare.small_program(found)
        head = ["", *folder.WAYS.values()]
        if prediction is not None:
            head.insert(1, "you said")
            said = [prediction.get(case, "?") for case in CASES if case != "retry"]
            rows = [[told, guess, *cells] for (told, *cells), guess in zip(rows, said, strict=True)]
        return Table(head, rows, self.note, _facts(compare.checks_of_cases(found)))

    def cost(self) -> Table:
        """Measure the CPU time of a POST in each way, and by hand a second time: what differs there is chance."""
        rows = [[one.name, f"{one.microseconds / 1000:.1f} ms", f"× {one.ratio:.2f}"] for one in self.backend.costs()]
        return Table(("", "CPU time of a POST", "by hand is 1"), rows, self.note, {"measured": True})


def waterfall(seen: Trial) -> list[Bar]:
    """Return a request's spans in milliseconds after the client sent it, below what its client and nginx saw."""
    outside = [bar for bar in bars_of(seen.run) if bar.where in ("client", "nginx")]
    return outside + [
        Bar(span.service, span.name, (span.begin - seen.run.sent_at) * 1000, (span.end - seen.run.sent_at) * 1000)
        for span in seen.spans
    ]


def _facts(checks: list[Check]) -> dict[str, object]:
    return {"checks": [vars(check) for check in checks]}
