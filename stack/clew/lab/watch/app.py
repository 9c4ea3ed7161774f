"""The live view as a Textual app: 80 columns and 24 lines are enough, and no colour is needed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Footer, Static

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.marks import BEADS, COLOURS
from clew.core.text import printable
from clew.lab.watch.seen import VERDICTS, Seen
from clew.stacks.services import SERVICES

EVERY_SECONDS = 0.4
QUIET = "Nothing has passed yet. Press s, or in another terminal: {command}"


class Watch(App[None]):
    """Five hops that light up, counters, and the last line of each service.

    `read` returns the lines that are new, `send` sends one request and returns what to say of it; both may raise
    ClewError or OSError. An error of `read` is shown until reading works again, one of `send` until something else is
    sent. Both run in daemon threads, so that quitting waits for neither.
    """

    CSS = "Static { height: auto; } Vertical { height: 1fr; overflow-y: auto; } #lines { margin-top: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "send", "send a request"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, title: str, command: str, read: Callable[[], list[Line]], send: Callable[[], str]) -> None:
        super().__init__()
        self.heading, self.command, self.read, self.send = title, command, read, send
        self.seen = Seen()
        self.said = self.problem = ""
        self.reading = False

    def compose(self) -> ComposeResult:
        """Lay out heading, hops, counters, lines and keys from top to bottom."""
        with Vertical():
            yield Static(id="heading")
            yield Static(id="hops")
            yield Static(id="said")
            yield Static(id="lines")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self.set_interval(EVERY_SECONDS, self.look)
        self.show()

    def look(self) -> None:
        """Read what is new in a thread of its own, and show it; only one reading at a time."""
        if self.reading:
            return
        self.reading = True

        def read() -> None:
            lines, problem = [], ""
            try:
                lines = self.read()
            except (ClewError, OSError) as error:
                problem = told(error)
            self._from_thread(self.take, lines, problem)

        threading.Thread(target=read, daemon=True).start()

    def take(self, lines: list[Line], problem: str) -> None:
        """Take lines that were read, and show everything again."""
        self.reading = False
        self.seen.take(lines, time.time())
        self.problem = problem
        self.show()

    def action_send(self) -> None:
        """Send one request in a thread of its own, and say what was answered."""

        def send() -> None:
            try:
                said = self.send()
            except (ClewError, OSError) as error:
                said = told(error)
            self._from_thread(self.say, said)

        threading.Thread(target=send, daemon=True).start()

    def _from_thread(self, do: Callable[..., None], *arguments: object) -> None:
        """Do something in the app's own thread, or nothing when the app has ended."""
        with contextlib.suppress(RuntimeError):
            if self.is_running:
                self.call_from_thread(do, *arguments)

    def say(self, text: str) -> None:
        """Say something below the counters."""
        self.said = text
        self.show()

    def show(self) -> None:
        """Draw everything from what was seen."""
        self.query_one("#heading", Static).update(Text(self.heading, style="bold", no_wrap=True, overflow="ellipsis"))
        self.query_one("#hops", Static).update(self.hops())
        quiet = "" if self.seen.newest else QUIET.format(command=self.command)
        self.query_one("#said", Static).update(Text(printable(self.problem or self.said or quiet)))
        self.query_one("#lines", Static).update(self.lines())

    def hops(self) -> Table:
        """Return the five hops with their beads and counters."""
        now = time.time()
        table = Table(box=None, pad_edge=False, padding=0, expand=True)
        table.add_column("", width=9)
        for hop in ladder.HOPS:
            table.add_column(hop, justify="center", ratio=1)
        beads = []
        for hop in ladder.HOPS:
            newest = self.seen.newest.get(hop)
            bead = Text(f"{BEADS[newest]} {newest}" if newest else "·", style=COLOURS[newest] if newest else "dim")
            if self.seen.lit(hop, now):
                bead = Text.assemble(">", bead, "<", style="bold reverse")
            beads.append(bead)
        table.add_row("", *beads)
        for verdict in VERDICTS:
            numbers = [str(self.seen.counts[hop][verdict]) for hop in ladder.HOPS]
            table.add_row(Text(verdict, style=COLOURS[verdict]), *numbers)
        return table

    def lines(self) -> Table:
        """Return the last line of each service, cut to the screen."""
        table = Table(box=None, pad_edge=False, show_header=False, expand=True)
        table.add_column(width=18, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        for service in SERVICES:
            line = self.seen.last.get(service)
            text = "" if line is None else str(line.get("message", ""))
            found = "" if line is None else str(line.get("correlation_id") or "")
            table.add_row(Text(service, style="dim"), Text(printable(f"{found}  {text}".strip())))
        return table


def told(error: ClewError | OSError) -> str:
    """Return an error in one line."""
    return f"{error.message} Next: {error.next_step}" if isinstance(error, ClewError) else f"{error}. Next: make doctor"
