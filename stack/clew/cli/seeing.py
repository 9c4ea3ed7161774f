"""The commands that look at all requests: SQL over nine logs, one request as columns, metrics and alerts."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from clew.cli.options import as_json, stage_argument
from clew.core.errors import ClewError
from clew.evidence import logs
from clew.evidence import sql as tables
from clew.show import logs as shown_logs
from clew.show import metrics as shown_metrics
from clew.show import terminal
from clew.stacks.drivers import driver_of
from clew.stacks.stack import Stack, stack_named


@click.command()
@stage_argument
@click.option("--query", envvar="CLEW_QUERY", help="Print the result of this query; without it, DuckDB's own shell.")
@as_json
def sql(stage: str, query: str | None, as_json: bool) -> None:
    """Ask all nine logs in SQL: the table `logs`, the view `hops`, and request('AN-ID')."""
    stack = stack_named(stage)
    driver = driver_of(stack)
    folder = stack.state / "sql"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    files = tables.save(driver, folder)
    if query is None:
        if as_json or not sys.stdin.isatty():
            raise ClewError("Without a terminal a query is needed.", example(stack))
        tables.database(files, folder / "logs.duckdb").close()
        shell(folder / "logs.duckdb")
        return
    with tables.database(files) as connection:
        loaded = time.monotonic()
        columns, rows = tables.ask(connection, query, example(stack))
        asked = time.monotonic()
    if as_json:
        terminal.data([dict(zip(columns, map(plain, row), strict=True)) for row in rows])
        return
    shown_logs.table(columns, rows)
    terminal.say(
        f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}; "
        f"the logs were loaded in {loaded - began:.2f} s, the query took {asked - loaded:.3f} s"
    )


def plain(value: Any) -> Any:
    """Return a value of a query's result as JSON can have it: a date, a time or a decimal as text."""
    return value if value is None or isinstance(value, str | int | float | list | dict) else str(value)


def example(stack: Stack) -> str:
    """Return a query to type."""
    return stack.command("sql QUERY='FROM logs LIMIT 5'")


def shell(file: Path) -> None:
    """Run DuckDB's shell on a database file until it is left.

    Raises:
        ClewError: it is not installed.
    """
    program = Path(sys.executable).with_name("duckdb")
    if not program.exists():
        raise ClewError("DuckDB's shell is not installed.", "python3 stack/bootstrap.py run sql")
    terminal.say(shown_logs.SHELL_HELP)
    subprocess.run([program, "-readonly", file], check=False)


@click.command()
@stage_argument
@click.option("--id", "wanted", envvar="CLEW_ID", help="The correlation, request or task ID of one request.")
@as_json
def columns(stage: str, wanted: str | None, as_json: bool) -> None:
    """Show the lines of one request with the services as columns, time downwards."""
    stack = stack_named(stage)
    driver = driver_of(stack)
    if not wanted:
        raise ClewError("No ID given: which request is to be shown?", stack.command("columns ID=MY-TRACE-123"))
    lines = logs.of_request(logs.read(driver), wanted)
    if not lines:
        raise ClewError(f"No line of the nine logs has {wanted}.", stack.command(f"trace ID={wanted}"))
    terminal.data(lines) if as_json else shown_logs.columns(lines)


@click.command()
@stage_argument
@as_json
def metrics(stage: str, as_json: bool) -> None:
    """Run Prometheus next to the stage and show its figures and alerts; Ctrl-C ends both."""
    from clew.monitor import figures, prometheus

    stack = stack_named(stage)
    driver = driver_of(stack)
    with prometheus.watching(stack, driver, terminal.say) as monitor:
        if as_json or not terminal.out.is_terminal:
            found = figures.first(monitor)
            terminal.data(found._asdict()) if as_json else terminal.out.print(shown_metrics.table(found))
            return
        terminal.out.print(
            f"Prometheus: {monitor.url}   alert rules: {monitor.url}/alerts   Ctrl-C ends it", markup=False
        )
        terminal.next_step(stack.command("send COUNT=50"))
        with contextlib.suppress(KeyboardInterrupt):
            shown_metrics.live(lambda: figures.figures(monitor), lambda: monitor.alerts)


@click.command()
@stage_argument
@as_json
def reach(stage: str, as_json: bool) -> None:
    """Try from where each port of the stage can be reached."""
    from clew.evidence import reach as reaching

    stack = stack_named(stage)
    doors = reaching.reach(stack, driver_of(stack))
    if as_json:
        terminal.data([vars(door) for door in doors])
        return
    places = reaching.places(doors)
    words = {True: "yes", False: "no", None: ""}
    rows = [
        [f"{door.service}:{door.port}" if door.port else door.service, door.what]
        + [words[door.open_to.get(place)] for place in places]
        for door in doors
    ]
    shown_logs.table(["port", "what", *(f"from {place}" for place in places)], rows)


@click.command()
@click.option("--pace", type=click.FloatRange(1, 6), default=1, help="So many times shorter windows, for tests.")
@click.option("--record", envvar="CLEW_RECORD", is_flag=True, help="Keep what the dashboard showed, for the site.")
@as_json
def alerts(pace: float, record: bool, as_json: bool) -> None:
    """Have an alert fire because IDs are lost, fix the layer, and wait until it is resolved; about four minutes."""
    from clew.monitor import fire

    found = fire.fire(terminal.say, pace, record)
    if as_json:
        terminal.data(found)
        return
    terminal.out.print(
        f"{found['alert']} named {found['hop']}: it fired {found['fired_seconds']} s after the first lost ID, and was "
        f"resolved {found['resolved_seconds']} s after the fix; {found['requests']} requests were answered.",
        markup=False,
    )


COMMANDS = (sql, columns, metrics, reach, alerts)
