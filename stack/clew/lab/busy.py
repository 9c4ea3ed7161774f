"""Notebook 8: what nine services do when more is asked of them than they can do at once. `busy_trials.py` tries it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clew.core.errors import ClewError
from clew.drills.account import percentile
from clew.drills.model import Check, exactly
from clew.lab import busy_trials as trials
from clew.lab.bench import Seen, Trials
from clew.lab.busy_trials import CALLERS, LIMIT, PRIORITIES, URGENT
from clew.show import plot
from clew.show.display import Plot, Table
from clew.show.plot import Segment
from clew.stacks.services import WORKERS

WHEN = (f"with {LIMIT} tasks waiting", "when half of them are done", "when all are done")

Said = Mapping[str, Any]


class Busy(Trials):
    """Nine services that get more to do than they can do at once."""

    def burst(self, prediction: Said | None = None) -> Plot:
        """Send a few requests a second, and a burst on top; show who took what, and the answers."""
        return burst(self.bench.see(trials.burst), prediction, self.note)

    def urgent(self, prediction: Said | None = None) -> Plot:
        """Let many low tasks wait, then send urgent ones; show when each task waited and ran."""
        return urgent(self.bench.see(trials.urgent), prediction, self.note)

    def breaker(self, prediction: Said | None = None) -> Breaker:
        """Fill the queue and drain it; show who is accepted on the way."""
        return Breaker(self.bench.see(trials.breaker), prediction, self.note)


def answers(rows: Sequence[tuple[str, object]], prediction: Said | None) -> Table:
    """Return a table of what was asked, what was predicted, and what it was.

    Raises:
        ClewError: the prediction names something that was not asked.
    """
    said = prediction or {}
    known = [name for name, _ in rows]
    for name in said:
        if name not in known:
            raise ClewError(f"Nothing here is called {name!r}; there are {', '.join(known)}.", "correct the prediction")
    return Table(["", "you said", "it was"], [[name, str(said.get(name, "–")), str(value)] for name, value in rows])


def burst(seen: Seen, prediction: Said | None = None, note: str | None = None) -> Plot:
    """Show a burst: the waiting tasks, the answers, and each worker's runs."""
    requests, runs, depths = seen["requests"], seen["runs"], seen["depths"]
    end = max(run[2] for run in runs) + 0.5
    took = Counter(run[0] for run in runs)
    deepest = max(depth for _, depth in depths)
    times = sorted(ms for _, ms, _ in requests)
    p50, slowest = percentile(times, 50), times[-1]
    last_of_burst = max((run[2] for run in runs), default=0.0)
    empty = next((at for at, depth in reversed(depths) if depth > 0), 0.0)
    rows = [
        *((f"tasks of {worker}", took[worker]) for worker in WORKERS),
        ("most tasks waiting", f"{deepest:.0f}"),
        ("half of the answers within", f"{p50:.0f} ms"),
        ("slowest answer", f"{slowest:.0f} ms"),
    ]
    words = [
        f"{len(requests)} requests, all answered by {last_sent(requests):.1f} s; tasks waited until {empty:.1f} s, "
        f"and the last one ended at {last_of_burst:.1f} s."
    ]
    picture = plot.figure(
        end,
        [
            plot.area("tasks that wait", depths),
            plot.dots("milliseconds until the answer, a dot for each request",
                      [(at, ms) for at, ms, _ in requests], scale(slowest), unit="ms"),
            plot.rows("who took what: a bar for each task", [
                (worker.removeprefix("celery-"), plot.in_parallel(Segment(a, b) for w, a, b in runs if w == worker))
                for worker in WORKERS
            ]),
        ],
        f"{rows_told(rows)}. {words[0]}",
    )  # fmt: skip
    checks = [
        exactly("answers with 201", len(requests), sum(status == 201 for _, _, status in requests)),
        exactly("runs", len(requests), len(runs)),
        exactly("workers that took tasks", len(WORKERS), len(took)),
        above("tasks waiting at once", 20, deepest),
    ]
    return Plot(picture, answers(rows, prediction), words, checks, note)


def urgent(seen: Seen, prediction: Said | None = None, note: str | None = None) -> Plot:
    """Show when tasks of three priorities waited and ran, one row each, in the order of their acceptance."""
    tasks = sorted(seen["tasks"], key=lambda task: task[1])
    of = {priority: [task for task in tasks if task[0] == priority] for priority in PRIORITIES}
    arrived = min((task[1] for task in of["high"]), default=0.0)
    waiting = sum(task[1] < arrived < task[2] for task in of["low"])
    last_low = max((task[2] for task in of["low"]), default=0.0)
    rows: list[tuple[str, object]] = [("low tasks waiting when the first high one came", waiting)]
    rows += [
        (f"of these, started before the last {name} one", overtaken(of, name, arrived)) for name in ("high", "medium")
    ]
    rows += [(f"longest wait of a {name} task", f"{longest(of[name]):.2f} s") for name in PRIORITIES]
    heights = {"high": 6.0, "medium": 6.0, "low": 1.6}
    panels = [
        plot.rows(
            f"{name}: thin while a task waits, thick while it runs",
            [(f"{len(of[name])} tasks", [[Segment(a, b, "waits"), Segment(b, c)] for _, a, b, c in of[name]])],
            heights[name],
        )
        for name in PRIORITIES
    ]
    end = max(task[3] for task in tasks) + 0.2
    words = [f"The last low task started at {last_low:.1f} s, the last high one at {last_start(of['high']):.1f} s."]
    checks = [
        exactly("finished tasks", seen["sent"], len(tasks)),
        exactly("high tasks that started after the last low one", 0, sum(task[2] > last_low for task in of["high"])),
        above("low tasks waiting when the first high one came", URGENT, waiting),
        exactly("the longest wait of a high task is shorter than that of a low one", True,
                longest(of["high"]) < longest(of["low"])),
    ]  # fmt: skip
    return Plot(
        plot.figure(end, panels, f"{rows_told(rows)}. {words[0]}"), answers(rows, prediction), words, checks, note
    )


class Breaker(Plot):
    """The circuit breaker: what waited, its state, and how many of the callers were accepted in each."""

    def __init__(self, seen: Seen, prediction: Said | None = None, note: str | None = None) -> None:
        self.seen = seen
        groups = seen["groups"]
        rows = [
            (f"accepted of {CALLERS} callers {when}", group["accepted"])
            for when, group in zip(WHEN, groups, strict=True)
        ]
        states = " → ".join(["closed", *(one["after"] for one in seen["transitions"])])
        words = [f"The breaker's states: {states}."]
        panels = [
            plot.area("tasks that wait; dashed: the limit, and half of it", seen["depths"], 110, (LIMIT, LIMIT / 2)),
            plot.rows("the breaker", [(name, [segments]) for name, segments in bands(seen)], 12),
            plot.notes("callers", [
                (one["at"], f"{one['sent']} callers: {one['accepted']} accepted", one["accepted"] > 0)
                for one in groups
            ]),
        ]  # fmt: skip
        checks = [
            exactly("accepted while nobody consumes", LIMIT, seen["filled"]),
            exactly("accepted in each group", [0, 1, CALLERS], [one["accepted"] for one in groups]),
            exactly("states", "closed → open → half-open → closed", states),
            exactly("refusals", ["503"], sorted({str(one["status"]) for one in seen["refusals"]})),
            exactly("refusals without Retry-After", 0, sum(not one["retry_after"] for one in seen["refusals"])),
        ]
        picture = plot.figure(seen["ended"], panels, f"{rows_told(rows)}. {words[0]}")
        super().__init__(picture, answers(rows, prediction), words, checks, note)

    def refusals(self) -> Table:
        """Show what five callers were answered while the breaker was open."""
        head = ["answer", "Retry-After", "code"]
        rows = [[f"HTTP {one['status']}", f"{one['retry_after']} s", one["code"]] for one in self.seen["refusals"]]
        facts = {"checks": [], "measured": True}
        return Table(head, rows, self.note, facts, str(self.seen["refusals"][0]["detail"]))

    def transitions(self) -> Table:
        """Show the breaker's own log lines: when it changed its state, and whose request caused that."""
        rows = [
            [f"{one['at']:.1f} s", f"{one['before']} → {one['after']}", str(one["request_id"])]
            for one in self.seen["transitions"]
        ]
        return Table(["", "circuit breaker", "correlation ID of the cause"], rows, self.note, {"measured": True})


def bands(seen: Seen) -> list[tuple[str, list[Segment]]]:
    """Return for each state of the breaker when it was in it."""
    begins = [(0.0, "closed"), *((one["at"], one["after"]) for one in seen["transitions"])]
    ends = [*(at for at, _ in begins[1:]), seen["ended"]]
    return [
        (state, [Segment(begin, end, state) for (begin, name), end in zip(begins, ends, strict=True) if name == state])
        for state in ("closed", "open", "half-open")
    ]


def overtaken(of: Mapping[str, list[list[Any]]], name: str, arrived: float) -> int:
    """Return how many low tasks that waited at `arrived` started before the last task of this priority did."""
    return sum(task[1] < arrived < task[2] < last_start(of[name]) for task in of["low"])


def last_start(tasks: Sequence[Sequence[Any]]) -> float:
    return max((float(task[2]) for task in tasks), default=0.0)


def longest(tasks: Sequence[Sequence[Any]]) -> float:
    """Return the longest wait from acceptance to start, in seconds."""
    return max((float(task[2]) - float(task[1]) for task in tasks), default=0.0)


def last_sent(requests: Sequence[Sequence[Any]]) -> float:
    return max(float(at) + float(ms) / 1000 for at, ms, _ in requests)


def above(what: str, least: int, found: float) -> Check:
    """Check that there was enough load to see anything."""
    return Check(what, f"≥ {least}", f"{found:g}", found >= least)


def scale(most: float) -> float:
    return next(float(nice) for nice in (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000) if most <= nice)


def rows_told(rows: Sequence[tuple[str, object]]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in rows)
