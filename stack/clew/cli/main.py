"""Running a command: its errors, its signals, its exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import click

from clew.cli import drills, leaks, load, many, mystery, operate, seeing, stage, swarm, tries, ways
from clew.cli.options import mistyped
from clew.cli.report import Reported
from clew.core.errors import ClewError
from clew.core.paths import STAGES, shown
from clew.show import terminal
from clew.show.commands import with_ports

GROUPS = (stage, operate, seeing, load, many, drills, leaks, ways, tries, mystery, swarm)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Send one request into nine containers, see where its correlation ID is lost, and thread it back."""


for group in GROUPS:
    for command in group.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run a command; a known problem ends with exit code 1 and the next command to type."""
    for ended in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ended) is not signal.SIG_IGN:  # which nohup asks for
            signal.signal(ended, signal.default_int_handler)  # clean up as after Ctrl-C
    if sys.stdout is None:  # it was closed by whoever started this
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever the encoding is, no character ends the command
    sys.exit(run())


def run() -> int:
    """Run the command that was typed; return its exit code."""
    try:
        cli(standalone_mode=False)
        sys.stdout.flush()  # an output that cannot be written is an error, too
    except ClewError as error:
        return fail(error)
    except click.ClickException as error:
        return fail(mistyped(error), exit_code=2)
    except (KeyboardInterrupt, click.Abort):
        return fail(ClewError("Interrupted.", os.environ.get("CLEW_COMMAND") or "make doctor"), exit_code=130)
    except BrokenPipeError:  # whoever reads the output has seen enough
        discard_output()
    except RecursionError:
        return fail(ClewError("Something is nested too deeply to be shown.", "make doctor"))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        missing = isinstance(error, FileNotFoundError) and Path(str(error.filename)).is_relative_to(STAGES)
        next_step = f"git checkout {shown(Path(error.filename))}" if missing else "make doctor"
        return fail(ClewError(f"{error.strerror or error}{where}.", next_step))
    return 0


def fail(error: ClewError, exit_code: int = 1) -> int:
    """Print a problem, with `--json` as a document as well; return the exit code."""
    next_step = with_ports(error.next_step)
    try:
        if "--json" in sys.argv and not isinstance(error, Reported):
            terminal.data({"error": error.message, "next": next_step})
        sys.stdout.flush()
    except OSError:
        discard_output()
    terminal.error(ClewError(error.message, next_step))
    return exit_code


def discard_output() -> None:
    """Send what is left of standard output nowhere: otherwise Python fails on it again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
