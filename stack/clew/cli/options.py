"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from clew.core.errors import ClewError
from clew.core.paths import shown

FROM_MAKE = "CLEW_"  # make exports a variable that is typed after it under this prefix

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
stage_argument = click.argument("stage", metavar="STAGE")
id_option = click.option(
    "--id", "correlation_id", envvar="CLEW_ID", help="The X-Request-ID to send; without it, a new one."
)
type_option = click.option("--type", "task_type", envvar="CLEW_TYPE", default="calculate_var", show_default=True)
data_option = click.option("--data", envvar="CLEW_DATA", help="The request's `data` as JSON; without it, a sample.")


def flag(name: str, told: str) -> Callable[[Any], Any]:
    """Return an option that `NAME=1` after make sets, too."""
    return click.option(f"--{name}", is_flag=True, envvar=f"CLEW_{name.upper()}", help=told)


def mistyped(error: click.ClickException) -> ClewError:
    """Return the error for a command that cannot be read, with what to type next.

    After make that is the same command: with a value that is allowed in place of the wrong one, or without it where the
    option does not say which are.
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = os.environ.get("CLEW_COMMAND", "").strip()
    if not command:
        name = context.info_name if context and context.parent else ""
        return ClewError(
            error.format_message(), f"{shown(Path(sys.executable))} -m clew {name} --help".replace("  ", " ")
        )
    wrong = error.param if isinstance(error, click.BadParameter) else None
    words = [command]
    for option in context.command.params if context else []:
        if not isinstance(option.envvar, str) or not option.envvar.startswith(FROM_MAKE):
            continue
        variable = option.envvar.removeprefix(FROM_MAKE)
        if option is wrong and isinstance(error, click.BadParameter):
            error.param_hint = variable
        value = _allowed(option.type) if option is wrong else os.environ.get(option.envvar)
        if value:
            words.append(f"{variable}={shlex.quote(value)}")
    return ClewError(error.format_message().replace("valid integer range", "whole number"), " ".join(words))


def _allowed(kind: click.ParamType[Any]) -> str | None:
    """Return a value that an option takes, None where its type does not say."""
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    if isinstance(kind, click.IntRange | click.FloatRange):
        return str(kind.max if kind.min is None else kind.min)
    return "1" if isinstance(kind, click.types.BoolParamType) else None
