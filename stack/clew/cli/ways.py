"""Three ways to carry an ID as a command."""

from __future__ import annotations

import click

from clew.cli.options import as_json
from clew.core.errors import ClewError
from clew.show import terminal
from clew.show.logs import table


@click.command()
@as_json
def ways(as_json: bool) -> None:
    """Carry an ID by hand, in a context variable and a header, and with OpenTelemetry; compare what was seen."""
    from clew.lab.ways import compare, experiment

    seen = experiment.all_ways(terminal.say)
    if as_json:
        terminal.data(seen.to_json())
    else:
        table(compare.HEAD, seen.rows())
        table(compare.HEADERS_HEAD, compare.headers(seen.trials[-1].heard))
    wrong = [f"{check.what}: {check.found}, expected {check.should}" for check in seen.checks() if not check.ok]
    if wrong:
        raise ClewError("\n".join(wrong), "make ways, when less is running")


COMMANDS = (ways,)
