"""Showing things in a terminal; without colours where the output is not a terminal or NO_COLOR is set.

Text from outside is printed with control characters escaped: `Safe` does it for strings, `shown` for styled text.
"""

from __future__ import annotations

import io
import json
import os
import re
import textwrap
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
from clew.core.text import printable
from clew.evidence.diff import StageDiff
from clew.evidence.trace import Run, command
from clew.show import message as messages
from clew.show.commands import with_ports
from clew.show.trail import HopWords, present, short_name
from clew.stacks.services import SERVICES


class Safe(Console):
    """A console that prints control characters escaped."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(printable(one, keep="\n") if isinstance(one, str) else one for one in objects), **options)


class Pipe(Safe):
    """A console whose reader may go away: the command then ends, which is not an error."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


SYSTEM: Any = {"color_system": None} if os.environ.get("NO_COLOR") else {}
out = Pipe(highlight=False, soft_wrap=True, **SYSTEM)
err = Safe(highlight=False, soft_wrap=True, stderr=True, **SYSTEM)

SERVICE_COLOURS = dict(
    zip(
        SERVICES,
        ("cyan", "green", "bright_green", "dark_green", "red", "yellow", "bright_yellow", "orange3", "magenta"),
        strict=True,
    )
)
HOP_WIDTH = 57  # of a hop's line without its ID
WHOLE_ID = 47  # columns for a field with one of nginx's IDs
LOG_FIELDS = (
    "hop",
    "correlation_id",
    "request_id",
    "task_id",
    "queue",
    "upstream",
    "upstream_status",
    "duration_ms",
    "at",
)


def shown(text: object, style: str = "") -> Text:
    """Return a text as it may be printed, in a style."""
    return Text(printable(str(text), keep="\n"), style=style)


def say(text: str) -> None:
    """Say what is going on, on standard error; standard output is for the result."""
    err.print(shown(text, "dim"))


def error(problem: ClewError) -> None:
    """Print what is wrong and what to type next."""
    err.print(Text("✗ ", style="bold red"), shown(problem.message), sep="")
    if problem.next_step:
        err.print(shown(f"Next: {problem.next_step}"))


def data(value: Any) -> None:
    """Print a value as one JSON document, never wrapped or coloured."""
    print(json.dumps(value, indent=1))


def next_step(command: str, console: Console | None = None) -> None:
    (console or out).print(Text("Next: ").append_text(shown(with_ports(command), "bold")))


def trail(run: Run, console: Console | None = None) -> None:
    """Print the five hops of a run, where the trail ends, and what to type next."""
    console = console or out
    words = present(run)
    sentence(words.title, console)
    console.print()
    longest = max(len(hop.id) for hop in words.hops)
    room = console.width - HOP_WIDTH if console.is_terminal else longest
    width = min(longest, max(room, 8))
    for hop in words.hops:
        console.print(hop_text(hop, width))
    console.print()
    cut = {hop.id: hop.hop for hop in reversed(words.hops) if len(hop.id) > width and hop.id != words.sent_id}
    for whole, hop_name in cut.items():
        sentence(f"The ID of {hop_name} in full: {whole}", console)
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


def hop_rows(hops: Sequence[HopWords]) -> list[Text]:
    """Return hops as lines of text, their IDs in full and in one column."""
    width = max((len(hop.id) for hop in hops), default=0)
    return [hop_text(hop, width) for hop in hops]


def sentence(text: str, console: Console | None = None, style: str = "", indent: int = 0) -> None:
    """Print a text: wrapped between words in a terminal, further lines indented, and as one line elsewhere."""
    console = console or out
    if console.is_terminal:
        text = textwrap.fill(
            text, console.width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
        )
    console.print(shown(text, style))


def save_picture(run: Run, path: Path) -> None:
    """Write what `trail` prints as an SVG that fetches nothing, no font either."""
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=98, highlight=False)
    trail(run, console)
    template = re.sub(r"@font-face {{.*?}}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    title = f"make stage-{run.stage} trace ID={printable(run.sent_id)}"
    path.write_text(console.export_svg(title=title, code_format=template, unique_id="trace"))


def log_lines(lines: Sequence[Line]) -> None:
    """Print log lines in time order, each with its service's name in a colour of its own.

    In a terminal what does not fit goes on below the message; elsewhere a line stays one line.
    """
    for line in lines:
        when = datetime.fromtimestamp(line["ts"]).strftime("%H:%M:%S.%f")[:-3] if line["ts"] else " " * 12
        fields = " ".join(f"{name}={line[name]}" for name in LOG_FIELDS if line.get(name) is not None)
        service = Text(f"{printable(line['service']):<18}", style=SERVICE_COLOURS.get(line["service"], ""))
        text = Text(printable(str(line["message"])))
        if fields:
            text.append(f"  {printable(fields)}", style="dim")
        head = Text.assemble(f"{when} ", service, " ")
        room = out.width - head.cell_len
        first, *further = text.wrap(out, room) if out.is_terminal and room >= WHOLE_ID else [text]
        out.print(head + first)
        for rest in further:
            rest.rstrip()
            out.print(Text(" " * head.cell_len) + rest)


def stage_diff(diff: StageDiff) -> None:
    """Print the source diff and the log diff, side by side where the terminal is wide enough."""
    parts = ((f"What stage {diff.number} changes", diff.source), ("What that changes in the logs", diff.logs))
    if out.is_terminal and out.width >= 200:
        table = Table.grid(padding=(0, 3))
        table.add_row(*(Text(name, style="bold") for name, _ in parts))
        table.add_row(*(coloured(lines) for _, lines in parts))
        out.print(table)
    else:
        for name, lines in parts:
            out.print(Text(name, style="bold"))
            out.print(coloured(lines))
            out.print()
    next_step(command(diff.after, "up trace"))


def coloured(lines: Sequence[str]) -> Text:
    """Return the lines of a unified diff in their colours."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    return Text("\n").join(shown(line, styles.get(line[:1], "")) for line in lines)


def matrix(runs: Sequence[Run], expectation: bool = False, console: Console | None = None) -> None:
    """Print a table: a row for each run, a column for each hop. With `expectation` each row says whether it is as
    predicted, without it each verdict has its milliseconds below."""
    table = Table(box=None, pad_edge=False)
    for column in ("", *ladder.HOPS):
        table.add_column(column, no_wrap=True)
    if expectation:
        table.add_column("predicted")
    for run in runs:
        cells = [Text(f"{BEADS[hop.verdict]} {hop.verdict}", style=COLOURS[hop.verdict]) for hop in run.hops]
        if expectation:
            predicted = Text("yes") if run.as_predicted else Text(f"no: {', '.join(run.expected)}", style="bold red")
            table.add_row(short_name(run), *cells, predicted)
        else:
            table.add_row(short_name(run), *cells)
            table.add_row("", *(Text(f"  {hop.shown_ms}", style="dim") for hop in run.hops))
    (console or out).print(table, soft_wrap=False)


def message(found: dict[str, Any]) -> None:
    """Print a raw message with the place where the ID is, or would be."""
    sentence(messages.title(found))
    out.print()
    for part in ("properties", "headers", "args", "kwargs", "embed"):
        out.print(Text(part, style="bold"))
        for line in json.dumps(found[part], indent=2).splitlines():
            out.print(shown(f"  {line}", COLOURS["kept"] if found["sent_id"] in line else ""))
    out.print()
    verdict = messages.verdict(found)
    sentence(f"{BEADS[verdict]} {messages.id_place(found)}", style=COLOURS[verdict])
    sentence(messages.DECOY)


def doctor(report: dict[str, Any]) -> None:
    """Print what `make doctor` found."""
    sentence(f"Driver: {report['driver']} ({report['why'].rstrip('.')})")
    out.print()
    for finding in report["findings"]:
        mark = BEADS["missing" if finding["cost"] else "kept"]
        cost = f"; {finding['cost']}" if finding["cost"] else ""
        sentence(f"  {mark} {finding['name']:<27} {finding['found']}{cost}", indent=32)
    out.print()
    up = [f"{name} ({state})" for name, state in report["up"].items() if state != "down"]
    sentence(f"Up now: {', '.join(up) or 'nothing'}")
    for difference in report["ladder"]:
        sentence(f"{BEADS['missing']} {difference}; `make ladder` rewrites stages 01 to 04", style=COLOURS["missing"])


def status(report: dict[str, Any]) -> None:
    """Print the state of the nine services."""
    for service, state in report["services"].items():
        ready = "ready" if state["ready"] else state["state"]
        verdict = "kept" if state["ready"] else "missing"
        mark, style = BEADS[verdict], COLOURS[verdict]
        address = f"127.0.0.1:{state['port']}" if state["port"] else ""
        out.print(Text.assemble("  ", (mark, style), f" {service:<18} ", (f"{ready:<8}", style), f" {address}"))
    if login := report.get("login"):
        user, password = login.split(":")
        out.print(Text(f"Flower's login: {user}, password {password}"))
    if edited := sorted({path for paths in report.get("changed", {}).values() for path in paths}):
        out.print(Text(f"Changed since they started: {', '.join(edited)}. `up` restarts what runs them."))
