"""The leak lab as a command."""

from __future__ import annotations

import click

from clew.cli.options import as_json
from clew.core.errors import ClewError
from clew.core.paths import ROOT, STATE, shown
from clew.show import leaks as words
from clew.show import terminal


@click.command()
@as_json
def leaks(as_json: bool) -> None:
    """Send fifty requests that cross each other, with the ID carried in three ways; count the lines with a wrong ID."""
    from clew.lab.leaks import trial as trials

    seen = list(trials.trials(terminal.say))
    by_hand = seen[0]
    if as_json:
        terminal.data({"trials": [one.to_json() for one in seen]})
    else:
        words.table(seen)
        path = STATE / "leaks.html"
        path.write_text(words.page(seen))
        words.saved(shown(path) if path.is_relative_to(ROOT) else str(path))
    if not by_hand.clean:
        raise ClewError("By hand, a line has not its own request's ID.", "make leaks")


COMMANDS = (leaks,)
