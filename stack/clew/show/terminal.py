"""Showing things in a terminal; plain where the output is no terminal or NO_COLOR is set."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.marks import BEADS, COLOURS
from clew.evidence.diff import StageDiff
from clew.evidence.trace import Run, command
from clew.show.trail import HopWords, present
from clew.stacks.services import SERVICES

told = False


class Pipe(Console):
    """A console whose reader may go away: that is for the command to end by, not an error to exit with."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = Pipe(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)

SERVICE_COLOURS = dict(
    zip(
        SERVICES,
        ("cyan", "green", "bright_green", "dark_green", "red", "yellow", "bright_yellow", "orange3", "magenta"),
        strict=True,
    )
)
HOP_WIDTH = 57  # of a hop's line without its ID
LOG_FIELDS = ("hop", "correlation_id", "request_id", "task_id", "queue", "upstream", "duration_ms", "at")


def say(text: str) -> None:
    """Tell what goes on, beside the result that standard output is for."""
    err.print(Text(text, style="dim"))


def error(problem: ClewError) -> None:
    err.print(Text("✗ ", style="bold red"), Text(problem.message), sep="")
    if problem.next_step:
        err.print(Text(f"Next: {problem.next_step}"))


def data(value: Any) -> None:
    """Print JSON, never wrapped or coloured, and only once: the output is one document."""
    global told
    if not told:
        print(json.dumps(value, indent=1))
    told = True


def next_step(command: str, console: Console = out) -> None:
    console.print(Text.assemble("Next: ", (command, "bold")), soft_wrap=not console.is_terminal)


def trail(run: Run, console: Console = out) -> None:
    """Print the five hops of a run, where the trail ends, and what to type next."""
    words = present(run)
    sentence(words.title, console)
    console.print()
    longest = max(len(hop.id) for hop in words.hops)
    room = console.width - HOP_WIDTH if console.is_terminal else longest
    for hop in words.hops:
        console.print(hop_text(hop, min(longest, max(room, 8))))
    console.print()
    for line in (words.result, *words.notes, words.ending):
        sentence(line, console)
    if words.next:
        next_step(words.next, console)


def hop_text(hop: HopWords, width: int) -> Text:
    """Return one hop as a line of text, its ID in `width` columns: what does not fit is cut."""
    style = COLOURS[hop.verdict]
    found = hop.id if len(hop.id) <= width else f"{hop.id[: width - 1]}…"
    rest = f" {found:<{width}} {hop.time:>9}  {hop.where}"
    return Text.assemble("  ", (hop.bead, style), f" {hop.hop:<13} ", (f"{hop.verdict:<8}", style), rest.rstrip())


def sentence(text: str, console: Console = out, style: str = "") -> None:
    """Print a text, wrapped between words in a terminal and as one line elsewhere."""
    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def save_picture(run: Run, path: Path) -> None:
    """Write what `trail` prints as an SVG that fetches nothing, no font either."""
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=98, highlight=False)
    trail(run, console)
    template = re.sub(r"@font-face {{.*?}}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    title = f"make stage-{run.stage} trace ID={run.sent_id}"
    path.write_text(console.export_svg(title=title, code_format=template, unique_id="trace"))


def log_lines(lines: Sequence[Line]) -> None:
    """Print log lines in time order, each with its service's name in a colour of its own."""
    for line in lines:
        when = datetime.fromtimestamp(line["ts"]).strftime("%H:%M:%S.%f")[:-3] if line["ts"] else " " * 12
        fields = " ".join(f"{name}={line[name]}" for name in LOG_FIELDS if line.get(name) is not None)
        style = SERVICE_COLOURS.get(line["service"], "")
        text = Text.assemble(f"{when} ", (f"{line['service']:<18}", style), f" {line['message']}")
        out.print(text.append(f"  {fields}", style="dim") if fields else text)


def stage_diff(diff: StageDiff) -> None:
    """Print the source diff and the log diff, side by side where the terminal is wide enough."""
    parts = ((f"What stage {diff.number} changes", diff.source), ("What that changes in the logs", diff.logs))
    if out.is_terminal and out.width >= 200:
        table = Table.grid(padding=(0, 3))
        table.add_row(*(Text(name, style="bold") for name, _ in parts))
        table.add_row(*(_coloured(lines) for _, lines in parts))
        out.print(table)
    else:
        for name, lines in parts:
            out.print(Text(name, style="bold"))
            out.print(_coloured(lines))
            out.print()
    next_step(command(diff.after, "up trace"))


def _coloured(lines: Sequence[str]) -> Text:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    return Text("\n").join(Text(line, style=styles.get(line[:1], "")) for line in lines)


def matrix(runs: Sequence[Run], expectation: bool = False) -> None:
    """Print a table: a row a run, a column a hop. With `expectation` each row says whether it is as predicted, without
    it each verdict has its milliseconds below."""
    table = Table(box=None, pad_edge=False)
    for column in ("", *ladder.HOPS, *(["predicted"] if expectation else [])):
        table.add_column(column, no_wrap=True)
    for run in runs:
        name = f"{run.stage:02}" if run.stage is not None else run.mix
        cells = [Text(f"{BEADS[hop.verdict]} {hop.verdict}", style=COLOURS[hop.verdict]) for hop in run.hops]
        if expectation:
            predicted = Text("yes") if run.as_predicted else Text(", ".join(run.expected), style="bold red")
            table.add_row(name, *cells, predicted)
        else:
            table.add_row(name, *cells)
            table.add_row("", *(Text(f"  {hop.shown_ms}", style="dim") for hop in run.hops))
    out.print(table)


def message(found: dict[str, Any]) -> None:
    """Print a raw message with the place where the ID is, or would be."""
    out.print(Text(f"queue {found['queue']} · task {found['task_id']} · sent X-Request-ID: {found['sent_id']}\n"))
    for part in ("properties", "headers", "args", "kwargs", "embed"):
        out.print(Text(part, style="bold"))
        text = json.dumps(found[part], indent=2)
        for line in text.splitlines():
            out.print(Text(f"  {line}", style=COLOURS["kept"] if found["sent_id"] in line else ""))
    out.print()
    if found["id_at"]:
        out.print(Text(f"● The ID is at {found['id_at']}.", style=COLOURS["kept"]))
    else:
        reason = "it would be at kwargs.correlation_id"
        out.print(Text(f"○ The ID is nowhere in the message; {reason}.", style=COLOURS["missing"]))
    out.print(Text("headers.id and properties.correlation_id are the task ID: Celery's own, not the client's."))


def doctor(report: dict[str, Any]) -> None:
    """Print what `make doctor` found."""
    out.print(Text.assemble("Driver: ", (report["driver"], "bold"), f" ({report['why'].rstrip('.')})\n"))
    for finding in report["findings"]:
        mark = "○" if finding["cost"] else "●"
        cost = f"; {finding['cost']}" if finding["cost"] else ""
        out.print(Text(f"  {mark} {finding['name']:<27} {finding['found']}{cost}"))
    out.print()
    up = [f"{name} ({state})" for name, state in report["up"].items() if state != "down"]
    out.print(Text(f"Up now: {', '.join(up) or 'nothing'}"))
    for difference in report["ladder"]:
        out.print(Text(f"○ {difference}; `make ladder` rewrites the middle from the ends", style=COLOURS["missing"]))


def status(report: dict[str, Any]) -> None:
    """Print the state of the nine services."""
    for service, state in report["services"].items():
        ready = "ready" if state["ready"] else state["state"]
        mark = "●" if state["ready"] else "○"
        style = COLOURS["kept" if state["ready"] else "missing"]
        address = f"127.0.0.1:{state['port']}" if state["port"] else ""
        out.print(Text.assemble("  ", (mark, style), f" {service:<18} ", (f"{ready:<8}", style), f" {address}"))
