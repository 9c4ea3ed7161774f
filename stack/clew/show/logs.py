"""Log lines as tables: what a query returned, and one request with the services as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from clew.core.lines import Line
from clew.core.text import printable
from clew.evidence.logs import began
from clew.evidence.sql import cell
from clew.evidence.timeline import in_short
from clew.show.terminal import SERVICE_COLOURS, out

SHELL_HELP = """\
The nine logs are the table logs; the view hops has the lines of the hand-offs.
  FROM request('MY-TRACE-123');  -- the lines of one ID and of its tasks
  SELECT service, count(*) FROM logs GROUP BY service;
End a query with a semicolon; .help shows the shell's commands, .exit leaves it."""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a query's result; outside of a terminal with tabs between columns, a row a line, nothing wrapped."""
    if not out.is_terminal:
        print("\n".join("\t".join(printable(cell(value)) for value in row) for row in (columns, *rows)))
        return
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        found.add_column(name, overflow="fold")
    for row in rows:
        found.add_row(*(Text(printable(cell(value))) for value in row))
    out.print(found, soft_wrap=False)


def columns(lines: Sequence[Line]) -> None:
    """Print the lines of one request: a column for each service that has one, a row for each line, time downwards."""
    ordered = sorted(lines, key=began)
    services = list(dict.fromkeys(line["service"] for line in ordered))
    first = began(ordered[0])
    found = Table(box=SIMPLE_HEAD, pad_edge=False)
    found.add_column("ms", justify="right")
    for service in services:
        found.add_column(Text(service, style=SERVICE_COLOURS.get(service, "")), overflow="fold")
    for line in ordered:
        words = Text(printable(in_short(line)))
        if "hop" in line:
            words.append(f"\n{line.get('correlation_id') or 'no ID'}", style="dim")
        cells = [words if line["service"] == service else Text("") for service in services]
        found.add_row(f"{(began(line) - first) * 1000:.1f}", *cells)
    out.print(found, soft_wrap=False)
