"""The three ways side by side: every cell is what a run has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clew import ladder
from clew.drills.model import Check, exactly
from clew.evidence.journey import SENT_ID
from clew.lab.ways import folder
from clew.lab.ways.cases import CASES, KEPT, LOST, NEW, Case
from clew.lab.ways.cost import Cost
from clew.lab.ways.trial import TRACE_ID, Heard, Trial

HEAD = ("what", *folder.WAYS.values())
UNLESS = "lost, unless you think of it"


@dataclass(frozen=True)
class Comparison:
    """What was seen of all three ways; `cases` by way."""

    trials: Sequence[Trial]
    cases: Mapping[str, Sequence[Case]]
    costs: Sequence[Cost]

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": [
                {**trial.to_json(), "cases": [asdict(case) for case in self.cases[trial.way]]} for trial in self.trials
            ],
            "costs": [asdict(cost) for cost in self.costs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        runs = [dict(run) for run in data["runs"]]
        cases = {run["way"]: [Case(**case) for case in run.pop("cases")] for run in runs}
        return cls([Trial.from_json(run) for run in runs], cases, [Cost(**cost) for cost in data["costs"]])

    def rows(self) -> list[list[str]]:
        """Return the whole table, a row each, with HEAD as its head."""
        return [*nine_services(self.trials), *small_program(self.cases), *post(self.costs)]

    def checks(self) -> list[Check]:
        return [*checks_of_trials(self.trials), *checks_of_cases(self.cases)]


def nine_services(trials: Sequence[Trial]) -> list[list[str]]:
    """Return the rows about the nine services, a cell for each trial."""
    return [
        ["lines of code, in files", *(f"{sum(one.changed.values())} in {len(one.changed)}" for one in trials)],
        ["hops that hand on the ID", *(f"{one.run.verdicts.count('kept')} of {len(ladder.HOPS)}" for one in trials)],
        ["log lines that a search for it finds", *(f"{one.found_lines} of {one.all_lines}" for one in trials)],
        ["where the message has it", *(one.message for one in trials)],
        ["Flower's page of the task has it", *("yes" if one.in_flower else "no" for one in trials)],
        ["a task's retry", *(_verdict(one.retried) for one in trials)],
        ["a message that was lost and sent again", *(_verdict([one.sent_again]) for one in trials)],
    ]


def _verdict(ids: Sequence[str | None]) -> str:
    found = set(ids)
    return KEPT if found == {SENT_ID} else LOST if None in found else NEW


def small_program(cases: Mapping[str, Sequence[Case]]) -> list[list[str]]:
    """Return the rows about the small program; a retry has been seen on the nine services."""
    of_case = {(way, case.case): case for way, found in cases.items() for case in found}
    return [[told, *(_cell(of_case[way, case]) for way in cases)] for case, told in CASES.items() if case != "retry"]


def _cell(case: Case) -> str:
    if case.case == "beat":
        return case.found if case.found != LOST else "none" if not case.trace else "none, a trace of its own"
    if case.found == KEPT:
        return KEPT if case.trace is None else "kept, in one trace"
    return UNLESS if case.careful == KEPT else LOST


def post(costs: Sequence[Cost]) -> list[list[str]]:
    """Return the row about the cost of a POST."""
    own = [cost for cost in costs if cost.name in folder.WAYS.values()]
    return [
        ["CPU time of a POST", *(f"{cost.microseconds / 1000:.1f} ms" for cost in own)],
        ["… compared with by hand", *(f"× {cost.ratio:.2f}" for cost in own)],
    ]


def headers(heard: Sequence[Heard]) -> list[list[str]]:
    """Return what became of clients' headers: what was sent, which IDs the worker logs, which the answer tells."""
    rows = []
    for one in heard:
        correlation = SENT_ID if one.correlation_id == SENT_ID else "made by nginx"
        trace = "the client's" if one.trace_id == TRACE_ID else "made by FastAPI"
        sent = ", ".join(f"{name}: {value if len(value) < 20 else '00-0af7…-01'}" for name, value in one.sent.items())
        rows.append([sent, correlation, trace, " and ".join(TOLD[told] for told in one.answered)])
    return rows


TOLD = {"correlation_id": "correlation ID", "trace_id": "trace ID"}
HEADERS_HEAD = ("the client sends", "correlation ID at the worker", "trace ID at the worker", "the answer tells the")


def checks_of_trials(trials: Sequence[Trial]) -> list[Check]:
    """Return what the texts about the nine services rely on."""
    found = []
    for one in trials:
        by_hand, name = one.way == folder.BY_HAND, folder.WAYS[one.way]
        found += [
            exactly(f"{name}: hops that hand on the ID", len(ladder.HOPS), one.run.verdicts.count("kept")),
            exactly(f"{name}: Flower's page has the ID", by_hand, one.in_flower),
            exactly(f"{name}: a retry keeps it", [SENT_ID] * 2, one.retried),
            exactly(f"{name}: a message that is sent again keeps it", by_hand, one.sent_again == SENT_ID),
        ]
        if one.way == folder.OPENTELEMETRY:
            found += [
                exactly("spans of a request, in one trace", 1, len({span.trace_id for span in one.spans})),
                exactly("traceparents of clients that were kept", 2, sum(h.trace_id == TRACE_ID for h in one.heard)),
            ]
    return found


# What is kept in each case when nobody has thought of it.
FOUND = {
    folder.BY_HAND: dict.fromkeys(CASES, LOST) | {"retry": KEPT, "error": KEPT, "answer": KEPT},
    folder.CONTEXT: dict.fromkeys(CASES, KEPT) | {"threads": LOST, "beat": NEW},
    folder.OPENTELEMETRY: dict.fromkeys(CASES, KEPT) | {"threads": LOST, "beat": LOST},
}


def checks_of_cases(cases: Mapping[str, Sequence[Case]]) -> list[Check]:
    """Return what the texts about the small program rely on."""
    return [
        check
        for way, found in cases.items()
        for case in found
        for check in (
            exactly(f"{folder.WAYS[way]}: {CASES[case.case]}", FOUND[way][case.case], case.found),
            exactly(f"{folder.WAYS[way]}: {CASES[case.case]}, with care", _with_care(way, case.case), case.careful),
        )
    ]


def _with_care(way: str, case: str) -> str:
    return FOUND[way][case] if case == "beat" else KEPT
