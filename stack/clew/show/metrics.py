"""The figures of Prometheus in a terminal: once, or live."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clew import ladder
from clew.core.marks import BEADS, COLOURS
from clew.core.text import printable
from clew.show.terminal import out

EVERY_SECONDS = 1
SHOWN_ALERTS = 4
VERDICTS = ("kept", "replaced", "missing", "refused")


def table(found: Any) -> Group:
    """Return the figures, what becomes of the ID at each hop, and the alerts that fire now."""
    from clew.monitor.figures import shown

    values = Table(box=None, pad_edge=False, show_header=False)
    for name, value in found.values.items():
        values.add_row(name, Text(shown(name, value), style="bold"))
    hops = Table(box=None, pad_edge=False)
    for column in ("IDs a second", *VERDICTS):
        hops.add_column(column)
    for hop in ladder.HOPS:
        rates = found.hops[hop]
        lost = any(rates.get(verdict) for verdict in ("replaced", "missing"))
        bead = Text(BEADS["missing" if lost else "kept"], style=COLOURS["missing" if lost else "kept"])
        cells = [
            f"{rates[verdict]:.1f}" if rates.get(verdict) else ""
            for verdict in ("kept", "replaced", "missing", "refused")
        ]
        hops.add_row(Text.assemble(bead if rates else " ", f" {hop}"), *cells)
    firing = [f"{one['alertname']} {one.get('hop', '')}".strip() for one in found.alerts]
    words = Text(f"Alerts that fire: {', '.join(firing) or 'none'}", style=COLOURS["missing"] if firing else "")
    return Group(values, Text(), hops, Text(), words)


def live(ask: Callable[[], Any], arrived: Callable[[], Sequence[Any]]) -> None:
    """Show the figures until Ctrl-C, and what the receiver got."""
    with Live(console=out, auto_refresh=False) as screen:
        while True:
            told = [
                Text(f"{time.strftime('%H:%M:%S', time.localtime(one.at))} {one.status:<8} {one.name}: "
                     f"{printable(one.annotations.get('summary', ''))}")
                for one in arrived()[-SHOWN_ALERTS:]
            ]  # fmt: skip
            screen.update(Group(table(ask()), *told), refresh=True)
            time.sleep(EVERY_SECONDS)
