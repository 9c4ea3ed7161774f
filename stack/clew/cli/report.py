"""Printing what a command found, and the problem with it if there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clew.core.errors import ClewError
from clew.show import terminal
from clew.show.commands import with_ports


class Reported(ClewError):
    """A problem that the JSON document on standard output already contains."""


def report(
    value: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None], problem: ClewError | None = None
) -> None:
    """Print a result: with `as_json` as one document, which has the problem as `problem` and what to type as `next`,
    else with `show`.

    Raises:
        ClewError: the problem, once the result is printed.
    """
    if as_json:
        told = {"problem": problem.message, "next": with_ports(problem.next_step)} if problem else {}
        terminal.data({**value, **told})
    else:
        show(value)
    if problem:
        raise Reported(problem.message, problem.next_step) if as_json else problem
