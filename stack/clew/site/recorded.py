"""What was recorded on live stacks with `make record`, shown: trails, logs, messages, matrices."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from markupsafe import Markup, escape

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.marks import BEADS, NO_ID
from clew.core.paths import ROOT
from clew.evidence import logs
from clew.evidence.trace import Run, in_milliseconds
from clew.evidence.two import BY_ID, BY_TASK, Two
from clew.lab import recordings
from clew.show import message as message_words
from clew.show import svg
from clew.show import terminal as printing
from clew.show import two as two_words
from clew.site import web
from clew.stacks.services import NGINX

ANSI = re.compile(r"\x1b\[[0-9;]*m")
VERDICT_OF_BEAD = {bead: verdict for verdict, bead in BEADS.items()}
FIELDS = ("hop", "correlation_id", "request_id", "queue", "status_code", "duration_ms")
NEWLINE = Markup("&#10;")  # within HTML a line of its own could be taken for Markdown
RECORD = "make record"

Entry = dict[str, Any]


@cache
def load(kind: str) -> Entry:
    """Return a recording that is complete, agrees with the truth table and is not older than the code.

    Raises:
        ClewError: it is not.
    """
    recording = recordings.load(kind)
    found = [entry["mix"] for entry in recording["runs"]]
    wanted = [stage.mix for stage in ladder.STAGE_LIST] if kind == "stages" else ladder.all_mixes()
    if sorted(found) != sorted(wanted):
        raise ClewError(f"The recording {kind}.json does not have one run for each of the {len(wanted)} mixes.", RECORD)
    wrong = [entry["mix"] for entry in recording["runs"] if not recordings.run_of(entry).as_predicted]
    if wrong:
        raise ClewError(f"The recording {kind}.json does not agree with the truth table: {', '.join(wrong)}.", RECORD)
    for entry in recording["runs"] if kind == "stages" else ():
        _check_line(entry["ends_in"])
    return recording


def _check_line(end: Entry | None) -> None:
    """Refuse a recording whose trail ends in a line that is a different one now."""
    if end is None:
        return
    layer = next(layer for layer in ladder.LAYERS if layer.hop == end["hop"])
    line = (ROOT / end["file"]).read_text().splitlines()[end["line"] - 1 :][:1]
    if not line or layer.anchor not in line[0]:
        now = line[0].strip() if line else "past the end of the file"
        raise ClewError(
            f"The recordings are older than the code: the recorded trail ends at {end['file']}:{end['line']}, where "
            f"{layer.anchor!r} was; now that line is {now!r}.",
            RECORD,
        )


def entry_of(mix: str) -> Entry:
    """Return the recording of a mix; of a stage, where the mix is one."""
    entries = [*load("stages")["runs"], *load("lattice")["runs"]]
    return next(entry for entry in entries if entry["mix"] == mix)


def stage_run(number: int) -> Run:
    """Return the recorded run of a stage."""
    return recordings.run_of(entry_of(ladder.stage(number).mix))


def when(kind: str = "stages") -> str:
    """Return one sentence: when a recording was made, with what, and how to make a new one."""
    recording = load(kind) if kind in ("stages", "lattice") else recordings.load(kind)
    versions = ", ".join(f"{name} {version}" for name, version in recording["versions"].items())
    return (
        f"Recorded on {recording['made_at']} with the {recording['driver']} driver: {versions}. "
        "`make record` makes new recordings.\n{ .recorded }"
    )


def terminal(command: str, text: str) -> str:
    """Return terminal output as HTML, its beads and verdicts in their colours."""
    lines = []
    for line in ANSI.sub("", text).rstrip("\n").split("\n"):
        verdict = VERDICT_OF_BEAD.get(line.strip()[:1], "")
        shown = escape(line)
        if verdict:
            for word in (line.strip()[0], f" {verdict} "):
                shown = shown.replace(word, Markup('<span class="{}">{}</span>').format(verdict, word), 1)
        lines.append(shown)
    return web.render("terminal.html", command=command, label=f"Output of {command}", lines=lines, newline=NEWLINE)


def trace(number: int) -> str:
    """Return what `make stage-N trace` printed."""
    with printing.out.capture() as captured:
        printing.trail(stage_run(number))
    return terminal(f"make stage-{number} up trace ID=MY-TRACE-123", captured.get())


def two(number: int) -> str:
    """Return what two requests at once showed on a stage, as in a notebook."""
    found = Two.from_json(recordings.load("two")["runs"][ladder.stage(number).number])
    return " ".join(two_words.TwoAtOnce(found)._repr_html_().split("\n"))


def told_apart() -> str:
    """Return how many lines of two requests at once can be told apart on each stage, as a table."""
    rows = ["| stage | lines with one of the two IDs | by way of the task ID | anyone's |", "|---|---|---|---|"]
    for stage, entry in zip(ladder.STAGE_LIST, recordings.load("two")["runs"], strict=True):
        by = [one.by for one in Two.from_json(entry).lines]
        rows.append(f"| {stage.number} · {stage.title} | {by.count(BY_ID)} | {by.count(BY_TASK)} | {by.count(None)} |")
    return "\n".join(rows)


def shown_ms(line: Line, sent_at: float) -> str:
    """Return a log line's milliseconds after the client sent the request; nginx's are whole."""
    return in_milliseconds(max(0.0, (line["ts"] - sent_at) * 1000), whole=line["service"] == NGINX)


def shown_message(line: Line, task_id: str) -> str:
    """Return a log line's message without a result, and with the task ID shortened."""
    return str(line["message"]).split(": {")[0].replace(task_id, task_id[:8] + "…")


def log_view(lines: list[Line], run: Run, command: str) -> str:
    """Return log lines with milliseconds after the client sent the request; the sent ID is marked."""
    width = max(len(line["service"]) for line in lines)
    sent = Markup('<span class="kept">{}</span>').format(run.sent_id)
    rows = []
    for line in logs.in_order(lines):
        fields = " ".join(f"{name}={NO_ID if line[name] is None else line[name]}" for name in FIELDS if name in line)
        text = f"{shown_ms(line, run.sent_at):>9}  {line['service']:<{width}}  {shown_message(line, run.task_id)}  "
        row = escape(text) + Markup('<span class="fields">{}</span>').format(fields)
        rows.append(row.replace(escape(run.sent_id), sent))
    return web.render("terminal.html", command=command, label="Log lines", lines=rows, newline=NEWLINE)


def stage_logs(number: int) -> str:
    """Return all log lines of a stage's recorded request, whether they have its ID or not."""
    run = stage_run(number)
    return log_view(run.lines, run, f"make stage-{number} logs")


def search(number: int) -> str:
    """Return what one search for the sent ID finds on a stage."""
    run = stage_run(number)
    found = logs.with_id(run.lines, run.sent_id)
    return log_view(found, run, f"make stage-{number} logs ID={run.sent_id}")


def log_diff(number: int) -> str:
    """Return how a stage's normalised logs differ from those of the stage before."""
    found = entry_of(ladder.stage(number).mix)["log_diff"]
    if not found:
        raise ClewError(f"The recording of stage {number} has no log_diff.", RECORD)
    return "\n".join(["```diff", *found, "```"])


def message(number: int) -> str:
    """Return the decoded message of a stage, folded."""
    found = entry_of(ladder.stage(number).mix)["message"]
    shown = {part: found[part] for part in ("properties", "headers", "args", "kwargs", "embed")}
    lines = json.dumps(shown, indent=2).splitlines()
    marked = [n for n, line in enumerate(lines, 1) if found["sent_id"] in line]
    options = f' hl_lines="{" ".join(map(str, marked))}"' if marked else ""
    body = [f"```json{options}", *lines, "```", "", message_words.id_place(found)]
    title = "The message in Redis, decoded. Is the client's ID in it?"
    return "\n".join([f'??? example "{title}"', "", *(f"    {line}" for line in body)])


def matrix(link: Callable[[int], str]) -> str:
    """Return the six recorded stages as a table with milliseconds; `link` returns the address of a stage's page."""
    runs = [recordings.run_of(entry) for entry in load("stages")["runs"]]
    rows = [{"stage": ladder.stage(run.stage or 0), "link": link(run.stage or 0), "hops": run.hops} for run in runs]
    return web.render("matrix.html", hops=ladder.HOPS, rows=rows, beads=BEADS)


def lattice(link: Callable[[str], str]) -> str:
    """Return the 32 recorded mixes as small trails; `link` returns the explorer's address for a mix."""
    runs = [
        {
            "mix": run.mix,
            "link": link(run.mix),
            "whole": set(run.verdicts) == {"kept"},
            "trail": svg.trail(run.verdicts, labels=False),
        }
        for run in (recordings.run_of(entry) for entry in load("lattice")["runs"])
    ]
    return web.render("lattice.html", runs=sorted(runs, key=lambda run: str(run["mix"])))
