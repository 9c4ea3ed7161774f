"""Running a command: its errors, its signals, its exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from clew.cli import many, stage
from clew.cli.report import Reported
from clew.core.errors import ClewError
from clew.show import terminal


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Send one request into nine containers, see where its correlation ID is lost, and thread it back."""


for command in (*stage.COMMANDS, *many.COMMANDS):
    cli.add_command(command)


def fail(error: ClewError) -> NoReturn:
    if "--json" in sys.argv and not isinstance(error, Reported):
        terminal.data({"error": error.message, "next": error.next_step})
    terminal.error(error)
    sys.exit(1)


def main() -> None:
    """Run a command; a known problem ends with exit code 1 and the next command to type."""
    for ended in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        cli(standalone_mode=False)
    except ClewError as error:
        fail(error)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        terminal.error(ClewError("Interrupted.", os.environ.get("CLEW_COMMAND") or "make doctor"))
        sys.exit(130)
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        fail(ClewError(f"{error.strerror or error}{where}.", "make doctor"))
