"""The commands that run drills: `make drill NAME=worker-kill`, `make drills`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from clew.cli.options import as_json
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.drills import recorded
from clew.drills.book import DRILLS, drill_named
from clew.drills.model import EXIT_CODES, HELD, SETTINGS, Drill, Result
from clew.drills.run import run
from clew.show import drills as words
from clew.show import spacetime, terminal

Command = Callable[..., Any]

ON = click.option("--on", envvar="CLEW_ON", default="durable", help="Which settings: durable, or stock.")
SHORT = click.option("--short", envvar="CLEW_SHORT", is_flag=True, help="The short form: fewer tasks and faults.")
RECORD = click.option("--record", envvar="CLEW_RECORD", is_flag=True, help="Keep the result for the site's table.")
SEED = click.option("--seed", envvar="CLEW_SEED", type=int, default=7, show_default=True, help="Of all that is random.")


@click.command()
@click.argument("name", required=False, envvar="CLEW_NAME")
@ON
@SEED
@click.option(
    "--repeat", envvar="CLEW_REPEAT", type=click.IntRange(1), default=1, help="Runs, each with the next seed."
)
@SHORT
@RECORD
@as_json
def drill(name: str | None, on: str, seed: int, repeat: int, short: bool, record: bool, as_json: bool) -> None:
    """Test a claim: load a stack, break something, count. Exit 0 held, 1 broken, 2 unknown."""
    require_settings(on)
    if name is None:
        words.list_of(DRILLS.values())
        raise ClewError("No drill was named.", "make drill NAME=worker-kill")
    chosen = drill_named(name)
    results = []
    for one in range(seed, seed + repeat):
        results.append(perform(chosen, on, one, short, as_json, record))
        if results[-1].verdict != HELD:
            break
    if as_json:
        terminal.data(results[0].to_json() if repeat == 1 else {"runs": [result.to_json() for result in results]})
    elif repeat > 1:
        words.repeated(results, repeat)
    end(results)


@click.command()
@ON
@SEED
@SHORT
@RECORD
@as_json
def drills(on: str, seed: int, short: bool, record: bool, as_json: bool) -> None:
    """Run all drills, one after the other; print a table of their verdicts."""
    require_settings(on)
    results: list[Result] = []
    passed_over: dict[str, str] = {}
    for chosen in DRILLS.values():
        try:
            results.append(perform(chosen, on, seed, short, as_json, record))
        except ClewError as error:
            passed_over[chosen.name] = error.message
            terminal.error(error)
    if as_json:
        terminal.data({"runs": [result.to_json() for result in results], "not_run": passed_over})
    else:
        words.table(results, passed_over)
    end(results, not_run=bool(passed_over))


def require_settings(on: str) -> None:
    if on not in SETTINGS:
        raise ClewError(f"ON is {on!r}; it may be durable or stock.", "make drill NAME=worker-kill ON=stock")


def perform(chosen: Drill, on: str, seed: int, short: bool, as_json: bool, record: bool = False) -> Result:
    """Say what should happen, run the drill, show what did, and record it if wanted."""
    if not as_json:
        words.announce(chosen, on, seed, short)
    result = run(chosen, on, seed, short, terminal.say, lambda result: str(spacetime.drawing(result)))
    if record:
        recorded.record(result)
    if not as_json:
        words.result(result)
        terminal.out.print(
            f"Saved in {shown(result.folder)}: result.json, logs, requests.jsonl, diagram.svg", markup=False
        )
    return result


def end(results: list[Result], not_run: bool = False) -> None:
    """End with the exit code of the worst verdict: 1 broken, 2 unknown or not run, 0 held."""
    codes = {result.exit_code for result in results} | ({EXIT_CODES["unknown"]} if not_run else set())
    raise SystemExit(1 if 1 in codes else max(codes, default=2))


COMMANDS = (drill, drills)
