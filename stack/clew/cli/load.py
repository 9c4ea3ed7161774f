"""The command that sends a load and counts its IDs: `make stage-5 load`."""

from __future__ import annotations

import click

from clew.cli.options import as_json, stage_argument
from clew.cli.report import report
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.show import terminal
from clew.stacks.stack import stack_named


@click.command()
@stage_argument
@click.option("--name", envvar="CLEW_NAME", default="steady", show_default=True, help="steady, spike, mixed or slow.")
@click.option(
    "--seconds", envvar="CLEW_SECONDS", type=click.FloatRange(1, 900), help="Without it, as long as the scenario is."
)
@as_json
def load(stage: str, name: str, seconds: float | None, as_json: bool) -> None:
    """Send requests when they are due, whatever is answered, and count their IDs in the workers' logs."""
    from pathlib import Path

    from clew.load.run import run
    from clew.load.scenarios import scenario_named

    scenario = scenario_named(name)
    stack = stack_named(stage)
    found = run(stack, scenario, scenario.seconds if seconds is None else seconds, terminal.say)
    problem = None
    if found.missing:
        lost = f"{len(found.missing):,} of {found.acknowledged:,} acknowledged IDs are in no worker's log"
        problem = ClewError(f"{lost}, such as {found.missing[0]}.", stack.command(f"logs ID={found.missing[0]}"))
    answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(found.statuses.items()))
    words = (
        f"{found.sent:,} requests ({scenario.told}): {answers}\n"
        f"IDs in the workers' logs: {found.found:,} of {found.acknowledged:,} acknowledged\n"
        f"from when a request was due to its answer: p50 {found.p50:.1f} ms, p95 {found.p95:.1f} ms, "
        f"p99 {found.p99:.1f} ms, longest {found.longest:.1f} ms; the load was {found.late_p99:.1f} ms late (p99)\n"
        f"Report: {shown(Path(found.report))}"
    )
    report(found.to_json(), as_json, lambda _: terminal.out.print(words, markup=False, highlight=False), problem)


COMMANDS = (load,)
