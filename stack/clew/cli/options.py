"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

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
