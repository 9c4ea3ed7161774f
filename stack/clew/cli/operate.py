"""The commands of whoever operates a stage: `make stage-5 dead-letters`, `make stage-5 rolling-restart`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from clew.cli.options import as_json, stage_argument
from clew.core.errors import ClewError
from clew.core.text import printable
from clew.evidence import dead_letters
from clew.show import terminal
from clew.stacks.drivers import driver_of
from clew.stacks.rolling import rolling_restart
from clew.stacks.stack import Stack, stack_named

ALL = "all"
SHOWN_CHARACTERS = 100


@click.command(name="dead-letters")
@stage_argument
@click.option("--requeue", metavar="ID|all", envvar="CLEW_REQUEUE", help="Send a dead letter again, or all that can.")
@click.option("--drop", metavar="ID|all", envvar="CLEW_DROP", help="Remove a dead letter, or all, for good.")
@as_json
def show_dead_letters(stage: str, requeue: str | None, drop: str | None, as_json: bool) -> None:
    """List the messages and tasks that no worker will run; send them again, or drop them."""
    stack = stack_named(stage)
    driver_of(stack)
    if requeue and drop:
        raise click.UsageError("Give --requeue or --drop, not both.")
    if requeue:
        _do(stack, dead_letters.requeue, requeue, "sent again", as_json)
    elif drop:
        _do(stack, dead_letters.drop, drop, "dropped", as_json)
    else:
        letters = dead_letters.listed(stack)
        terminal.data(letters) if as_json else _print(stack, letters)


def _do(stack: Stack, what: Callable[[Stack, str], None], wanted: str, words: str, as_json: bool) -> None:
    """Do something to one dead letter or to all; one that refuses does not keep the others from it."""
    ids = [letter["id"] for letter in dead_letters.listed(stack)] if wanted == ALL else [wanted]
    done, refused = [], {}
    for letter_id in ids:
        try:
            what(stack, letter_id)
            done.append(letter_id)
        except ClewError as error:
            if wanted != ALL:
                raise
            refused[letter_id] = error.message
    if as_json:
        terminal.data({words.replace(" ", "_"): done, "refused": refused})
    else:
        terminal.out.print(f"{len(done)} {words}.")
    if refused:
        reasons = "\n".join(f"  {letter_id}: {reason}" for letter_id, reason in refused.items())
        raise ClewError(f"{len(refused)} of {len(ids)} were not {words}:\n{reasons}", stack.command("dead-letters"))


def _print(stack: Stack, letters: list[dict[str, Any]]) -> None:
    for letter in letters:
        at = datetime.fromtimestamp(letter["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        about = " ".join(f"{name}={letter[name]}" for name in ("task_id", "correlation_id") if letter[name])
        lines = [
            f"{letter['id']}  {at} UTC  {letter['kind']} of queue {letter['queue']}, {letter['size']} bytes",
            f"  why: {letter['reason']}",
            f"  {about}" if about else "",
            f"  {letter['content'][:SHOWN_CHARACTERS]}",
        ]
        for line in filter(None, lines):
            terminal.out.print(printable(line), markup=False, soft_wrap=True)
    many = f"{len(letters)} dead letter{'s' if len(letters) > 1 else ''}."
    terminal.out.print(many if letters else "There are no dead letters.")
    if letters:
        verb = f"dead-letters REQUEUE={letters[0]['id']}"
        terminal.next_step(f"{stack.command(verb)}, or with DROP=; all takes every one")


@click.command(name="rolling-restart")
@stage_argument
@as_json
def restart_rolling(stage: str, as_json: bool) -> None:
    """Restart every tier one service at a time while the stage is in use, so that no request fails."""
    stack = stack_named(stage)
    steps = rolling_restart(stack, driver_of(stack), terminal.say)
    if as_json:
        terminal.data([{**step._asdict(), "seconds": round(step.seconds, 2)} for step in steps])
        return
    for step in steps:
        seconds = f" in {step.seconds:.1f} s" if step.seconds else ""
        terminal.out.print(f"  {step.service:<18} {step.done}{seconds}", markup=False)


COMMANDS = (show_dead_letters, restart_rolling)
