"""One request, traced: sent, waited for, and found again in the logs of nine services, or not.

What belongs to the request is decided as an engineer would, by what the lines show: the ID where it was kept, the task
ID where there is one, and else the time. Time only works while the logs are quiet. Where other requests came in
between, a line without the ID could be anyone's, and the trace says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.stacks import freshness
from clew.stacks.drivers import Driver, driver_of
from clew.stacks.services import is_worker
from clew.stacks.stack import Stack, stage_stack

CLOCK_SLACK = 0.002  # nginx writes whole milliseconds
LINES_SECONDS = 20
DERIVED = ("edited", "expected", "task_ms", "unusable")  # what `Run.to_json` tells besides the fields


@dataclass
class Hop:
    """What one layer handed on. `verdict` is kept, replaced or missing; unknown when the logs cannot tell.

    `ms` is the time from when the client sent the request to the hand-off. `candidates` is how many log lines might be
    this request's; when there are several, `id`, `service`, `ms` and `at` are None.
    """

    hop: str
    verdict: str
    id: str | None = None
    service: str | None = None
    ms: float | None = None
    at: str | None = None
    candidates: int = 1

    @property
    def shown_ms(self) -> str:
        """`ms` with its unit, empty when unknown; nginx's rounded, because nginx writes whole milliseconds."""
        return "" if self.ms is None else in_milliseconds(self.ms, whole=self.hop == "nginx")


def in_milliseconds(ms: float, whole: bool) -> str:
    """Return a time with its unit; `whole` when what measured it knows no parts of a millisecond."""
    return f"≈{ms:.0f} ms" if whole else f"{ms:.1f} ms"


@dataclass
class Run:
    """One traced request.

    `mix` is that of the files that ran, `?` for an edited layer; `folder` is where they are. `ends_in` tells where the
    trail ends: the first hop that did not hand on the client's ID, with the file and the line that ran; None when the
    trail reaches the worker.
    """

    stage: int | None
    mix: str
    folder: str
    driver: str
    sent_id: str
    answered_id: str
    task_id: str
    status: str
    sent_at: float
    answered_ms: float
    result: Any
    error: str | None
    hops: list[Hop]
    lines: list[Line] = field(repr=False)
    task_type: str = "calculate_var"
    ends_in: dict[str, Any] | None = None

    @property
    def verdicts(self) -> tuple[str, ...]:
        return tuple(hop.verdict for hop in self.hops)

    @property
    def expected(self) -> tuple[str, ...]:
        """The verdicts that the truth table has for the stage, or its rule for the mix of layers."""
        return ladder.expected(self.mix) if self.stage is None else ladder.stage(self.stage).verdicts

    @property
    def as_predicted(self) -> bool:
        """Whether every verdict is the expected one; what an edited layer does is not known, so nothing is expected."""
        return all(wanted in ("unknown", found) for found, wanted in zip(self.verdicts, self.expected, strict=True))

    @property
    def edited(self) -> list[str]:
        """The layer files that are not what they are in the stage, or in a mix neither of the two written versions."""
        written = ladder.stage(self.stage).mix if self.stage is not None else self.mix.replace(ladder.EDITED, "-")
        return [
            f"{self.folder}/{layer.file}"
            for layer, ran, was in zip(ladder.LAYERS, self.mix, written, strict=True)
            if ran != was
        ]

    @property
    def unusable(self) -> bool:
        """Whether a fixed nginx replaced the ID because it is not allowed.

        That is correct, so the trail does not end there.
        """
        return self.mix.startswith("1") and self.answered_id != self.sent_id

    @property
    def task_ms(self) -> float | None:
        """How long the worker calculated, in milliseconds."""
        times = [line["duration_ms"] for line in self.lines if is_worker(line["service"]) and "duration_ms" in line]
        return float(times[-1]) if times else None

    @property
    def ambiguous(self) -> bool:
        return any(hop.candidates > 1 for hop in self.hops)

    def to_json(self) -> dict[str, Any]:
        """Return the run as plain data, with everything `from_json` needs."""
        derived = {name: getattr(self, name) for name in DERIVED}
        return {**asdict(self), **derived}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Run:
        """Make a run of what `to_json` returned."""
        known = {name: value for name, value in data.items() if name not in (*DERIVED, "as_predicted")}
        return cls(**{**known, "hops": [Hop(**hop) for hop in data["hops"]]})


def trace(
    stack: Stack, correlation_id: str | None = None, body: dict[str, Any] | None = None, driver: Driver | None = None
) -> Run:
    """Send one task request, wait for its result, and find its hops in the logs.

    Raises:
        ClewError: the stack is not up, did not answer 201, or its log lines did not appear.
    """
    driver = driver or driver_of(stack)
    freshness.require_current(stack, driver)
    mix = stack.mix
    body = body or client.request_body()
    answer = client.send_task(stack, correlation_id, body)
    state = client.result(stack, answer.task_id)
    lines: list[Line] = []

    def complete() -> bool:
        lines[:] = logs.read(driver, answer.sent_at - CLOCK_SLACK)
        return _is_complete(lines, answer)

    wait_until(
        complete, LINES_SECONDS, "the request's log lines", stack.command(f"logs ID={answer.task_id}"), every=0.03
    )
    hops, own_lines = find_hops(lines, answer)
    return Run(
        stage=stack.number,
        mix=mix,
        folder=stack.shown_folder,
        driver=driver.name,
        sent_id=answer.sent_id,
        answered_id=answer.answered_id,
        task_id=answer.task_id,
        status=state["status"],
        sent_at=answer.sent_at,
        answered_ms=answer.ms,
        result=state["result"],
        error=state["error"],
        hops=hops,
        lines=own_lines,
        task_type=body.get("task_type", "calculate_var"),
        ends_in=where_it_ends(hops, freshness.ran_folder(stack), stack.shown_folder),
    )


def where_it_ends(hops: list[Hop], ran: Path, shown_folder: str) -> dict[str, Any] | None:
    """Return the first hop that does not hand on the client's ID, with the file and line that decides about it.

    `ran` is the folder whose files ran, `shown_folder` the one that a learner edits. None when all five kept the ID.
    """
    for layer, hop in zip(ladder.LAYERS, hops, strict=True):
        if hop.verdict != "kept":
            hand_off = _line_number(hop.at)
            line = ladder.cause_line(ran / layer.file, layer, hand_off)
            return {"hop": layer.hop, "file": f"{shown_folder}/{layer.file}", "line": line}
    return None


def _line_number(at: str | None) -> int | None:
    """Return the number in a log line's `at` (`services/queue_service.py:12`), None when there is none."""
    number = (at or "").rpartition(":")[2]
    return int(number) if number.isascii() and number.isdigit() else None


def _is_complete(lines: list[Line], answer: client.Answer) -> bool:
    candidates = _candidates(lines, answer)
    own_worker_lines = [line for line in lines if is_worker(line["service"]) and line.get("task_id") == answer.task_id]
    return all(candidates.values()) and any("duration_ms" in line for line in own_worker_lines)


def _candidates(lines: list[Line], answer: client.Answer) -> dict[str, list[Line]]:
    """Return, for each hop, the lines that may be this request's."""
    begin = answer.sent_at - CLOCK_SLACK
    end = answer.sent_at + answer.ms / 1000 + CLOCK_SLACK
    found = {}
    for hop in ladder.HOPS:
        of_hop = [line for line in lines if line.get("hop") == hop and line.get("method", "POST") == "POST"]
        if any("task_id" in line for line in of_hop):
            found[hop] = [line for line in of_hop if line.get("task_id") == answer.task_id]
        else:
            found[hop] = [line for line in of_hop if begin <= logs.began(line) <= end]
    servers = {line["service"] for line in found["queue-service"]}
    for hop in ("routes", "task-service"):  # they run in the server that put the task on the queue
        found[hop] = [line for line in found[hop] if line["service"] in servers] or found[hop]
    return found


def find_hops(lines: list[Line], answer: client.Answer) -> tuple[list[Hop], list[Line]]:
    """Return the five hops of an answered request, and the lines that belong to it for certain."""
    hops = []
    own: list[Line] = []
    candidates = _candidates(lines, answer)
    for name, found in candidates.items():
        with_sent_id = [line for line in found if line.get("correlation_id") == answer.sent_id]
        certain = with_sent_id if len(with_sent_id) == 1 else found
        if len(certain) == 1:
            line = certain[0]
            own.append(line)
            ms = max(0.0, round((logs.began(line) - answer.sent_at) * 1000, 1))
            verdict = _verdict(line.get("correlation_id"), answer.sent_id)
            hops.append(Hop(name, verdict, line.get("correlation_id"), line["service"], ms, line.get("at")))
        else:
            verdicts = {_verdict(line.get("correlation_id"), answer.sent_id) for line in certain}
            verdict = verdicts.pop() if len(verdicts) == 1 else "unknown"
            hops.append(Hop(name, verdict, candidates=len(certain)))
    return hops, _own_lines(lines, own, answer, quiet=len(candidates["nginx"]) == 1)


def _verdict(found: str | None, sent: str) -> str:
    return "missing" if not found else "kept" if found == sent else "replaced"


def _own_lines(lines: list[Line], hop_lines: list[Line], answer: client.Answer, quiet: bool) -> list[Line]:
    """Return every line of the request: the hops', those with its ID or task ID, and in quiet logs those of its server
    while it was there."""
    end = answer.sent_at + answer.ms / 1000 + CLOCK_SLACK
    servers = {line["service"] for line in hop_lines if line.get("hop") == "queue-service"} if quiet else set()
    return [
        line
        for line in lines
        if line in hop_lines
        or line.get("task_id") == answer.task_id
        or (line.get("request_id") == answer.sent_id and line["ts"] <= end)
        or (line["service"] in servers and line["ts"] <= end and line.get("method", "POST") == "POST")
    ]


def command(run: Run, verb: str, further: int = 0) -> str:
    """Return what to type for a verb on a run's stage, or `further` stages on."""
    return stage_stack(run.stage + further).command(verb) if run.stage is not None else "make lattice"


def check(run: Run) -> None:
    """Compare a run with the truth table.

    Raises:
        ClewError: a verdict differs from the table's; edited files are named, because they are the likely reason.
    """
    if run.as_predicted:
        return
    wrong = [
        f"{hop.hop} is {hop.verdict}, expected {wanted}"
        for hop, wanted in zip(run.hops, run.expected, strict=True)
        if wanted not in ("unknown", hop.verdict)
    ]
    reason = "; ".join(wrong)
    if run.ambiguous:
        reason += ". Other requests ran at the same time, so some lines cannot be told apart"
    if run.edited:
        reason += ". " + edited_in_words(run.edited)
    next_step = f"git checkout {' '.join(run.edited)}" if run.edited else command(run, "trace")
    raise ClewError(f"Differs from the truth table: {reason}.", next_step)


def edited_in_words(files: list[str]) -> str:
    """Return which files are edited as a phrase: `a.py is edited`, `a.py and b.py are edited`."""
    *others, last = files
    return f"{', '.join(others)} and {last} are edited" if others else f"{last} is edited"
