"""What is said of a trail, in one place: every renderer takes its words from here.

`present` turns a `Run` into a `Trail`: plain data, safe to print in a terminal (control characters are escaped); a
renderer that writes HTML still has to escape it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clew import ladder
from clew.core.marks import BEADS, NO_ID
from clew.core.paths import shown
from clew.core.text import printable
from clew.evidence.trace import Hop, Run, command
from clew.stacks.stack import on_these_ports


@dataclass(frozen=True)
class HopWords:
    """One hop as it is shown. `id` is `–` when there is none, `time` has its unit and is `?` when the logs cannot tell.

    `where` is the service; when several log lines could be this request's, how many.
    """

    hop: str
    verdict: str
    bead: str
    id: str
    time: str
    where: str
    sentence: str


@dataclass(frozen=True)
class Trail:
    """A trail in words.

    `title`, `result` and `answer` are one line each. `start` and `verdicts` are sentences that begin with `name`, for
    before and after the request. `ends` says where the trail ends, `place` is `file:line` there (empty when it ends
    nowhere), `ending` is both. `notes` are further sentences, `next` is the command to type (None when there is none).
    """

    name: str
    title: str
    sent_id: str
    hops: tuple[HopWords, ...]
    start: str
    verdicts: str
    ends: str
    place: str
    result: str
    answer: str
    notes: tuple[str, ...]
    next: str | None

    @property
    def ending(self) -> str:
        return f"{self.ends}: {self.place}" if self.place else f"{self.ends}."

    def to_json(self) -> dict[str, Any]:
        """Return the words as plain data, `ending` included."""
        return {**asdict(self), "ending": self.ending}


def present(run: Run) -> Trail:
    """Return everything that is said of a run."""
    name = f"Stage {run.stage}" if run.stage is not None else "The working copy" if _tried(run) else f"Mix {run.mix}"
    sent_id = printable(run.sent_id)
    ends, place = _end(run)
    return Trail(
        name=name,
        title=f"{title_of(run)} · sent X-Request-ID: {sent_id}",
        sent_id=sent_id,
        hops=tuple(hop_words(hop) for hop in run.hops),
        start=f"{name}: the client sends X-Request-ID: {sent_id}.",
        verdicts=f"{name}: {in_words(run.verdicts)}.",
        ends=ends,
        place=place,
        result=_result(run),
        answer=f"The client had its answer, 201, after {run.answered_ms:.1f} ms.",
        notes=tuple(_notes(run)),
        next=_next(run),
    )


def title_of(run: Run) -> str:
    """Return which stage or mix a run was on: `stage 3 · fixes 1–3`."""
    if run.stage is None and not _tried(run):
        return f"mix {run.mix}"
    name = f"stage {run.stage}" if run.stage is not None else "working copy"
    like = next((stage for stage in ladder.STAGE_LIST if stage.mix == run.mix), None)
    if like is None or run.stage not in (None, like.number):
        return f"{name} · edited"
    return f"{name} · " + {0: "no fix", 1: "fix 1"}.get(like.number, f"fixes 1–{like.number}")


def _tried(run: Run) -> bool:
    """Tell whether a run was on the working copy in which a learner fixes a layer."""
    return run.folder.startswith("try/stage")


def short_name(run: Run) -> str:
    """Return the name of a run's row in a matrix: `03`, or the mix."""
    return f"{run.stage:02}" if run.stage is not None else run.mix


def in_words(verdicts: Sequence[str]) -> str:
    """Return five verdicts as a phrase: `nginx kept, routes kept, …`."""
    return ", ".join(f"{hop} {verdict}" for hop, verdict in zip(ladder.HOPS, verdicts, strict=True))


def described(verdicts: Sequence[str]) -> str:
    """Return five verdicts and where the trail ends as two sentences: what a picture of a trail shows."""
    lost = next((hop for hop, verdict in zip(ladder.HOPS, verdicts, strict=True) if verdict != "kept"), None)
    return f"{in_words(verdicts)}. The trail {f'ends in {lost}' if lost else 'reaches the worker'}."


def outcome(run: Run) -> str:
    """Return a task's result in a few words."""
    result = run.result if isinstance(run.result, dict) else {}
    if "var_amount" in result:
        return f"VaR ${result['var_amount']:,.2f}"
    if "price" in result:
        return f"price {result['price']:.4f}"
    if "weights" in result:
        return f"{len(result['weights'])} weights"
    return run.task_type.replace("_", " ")


def hop_words(hop: Hop) -> HopWords:
    """Return what is said of one hop."""
    bead, found = BEADS[hop.verdict], printable(hop.id) if hop.id else NO_ID
    if hop.candidates > 1:
        where = f"one of {hop.candidates} lines"
        sentence = f"{bead} {hop.hop}: {hop.candidates} log lines could be this request's; {hop.verdict}."
    else:
        where = printable(hop.service or "")
        does = "logs" if hop.hop == ladder.HOPS[-1] else "passes on"
        sentence = (
            f"{bead} {hop.hop} in {where}, after {hop.shown_ms}: {hop.verdict}, {does} {found if hop.id else 'no ID'}."
        )
    return HopWords(hop.hop, hop.verdict, bead, found, hop.shown_ms or "?", where, sentence)


def _end(run: Run) -> tuple[str, str]:
    """Return where the trail ends, in words and as `file:line`."""
    if run.unusable:
        return f"This ID is not allowed, so nginx replaced it with {printable(run.answered_id)}", ""
    index = next((n for n, verdict in enumerate(run.verdicts) if verdict != "kept"), None)
    if index is None:
        return "The trail reaches the worker: one ID, five layers", ""
    hop, end = ladder.HOPS[index], run.ends_in
    if run.verdicts[index] == "unknown":
        reason = f"from {hop} on, the logs do not show which lines are this request's"
        return f"Where the trail ends is unknown: {reason}", ""
    if end is None:
        return f"The trail ends in {hop}", ""
    file = end["file"]
    if run.stage is None and run.mix[index] != ladder.EDITED and not _tried(run):
        # A mix is generated from the two ends, and its folder has the files of another mix by now.
        file = shown(ladder.source(ladder.LAYERS[index], run.mix[index] == "1"))
    return f"The trail ends in {hop}", f"{file}:{end['line']}"


def _result(run: Run) -> str:
    ended = outcome(run) if run.status == "SUCCESS" else printable(run.error or "no reason given")
    took = f" in {run.task_ms:.0f} ms" if run.task_ms is not None else ""
    return f"Task {printable(run.task_id)}: {run.status}, {ended}{took}"


def _notes(run: Run) -> list[str]:
    notes = []
    if run.ambiguous:
        others = max(hop.candidates for hop in run.hops) - 1
        requests = "1 or more other requests" if others == 1 else f"{others} or more other requests"
        notes += [
            f"{requests} ran at the same time: a line without an ID could be anyone's.",
            "Nothing in the logs can tell. That is what a correlation ID is for.",
        ]
    if run.unusable:
        notes.append("Allowed are 1 to 128 letters, digits, dots, dashes and underscores.")
    usual = ladder.stage(run.stage).mix if run.stage is not None else run.mix.replace(ladder.EDITED, "0")
    states = {"0": "the version as found", "1": "the fixed version", ladder.EDITED: "neither of its two versions"}
    for hop, state, wanted in zip(ladder.HOPS, run.mix, usual, strict=True):
        if state != wanted:
            notes.append(f"{hop} was edited: its file is {states[state]}.")
    return notes


def _next(run: Run) -> str | None:
    if run.stage is None:
        return on_these_ports("make check-try") if _tried(run) else None
    if run.stage == ladder.FIXED.number or run.unusable:
        return command(run, f"logs ID={shlex.quote(printable(run.answered_id))}")
    if run.mix != ladder.stage(run.stage).mix:
        return command(run, "check")
    return command(run, "diff", further=1)
