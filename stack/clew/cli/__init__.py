"""The commands: `python -m clew VERB STAGE`, which is what `make stage-N VERB` calls."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.evidence import client, logs
from clew.evidence import diff as diffs
from clew.evidence import journey as journeys
from clew.evidence import message as messages
from clew.evidence import trace as traces
from clew.show import render
from clew.stacks import doctor as doctors
from clew.stacks import operate
from clew.stacks.drivers import driver_of
from clew.stacks.services import SERVICES, checked_service
from clew.stacks.stack import Stack, all_stacks, stage_stack

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
stage_argument = click.argument("stage", metavar="STAGE")
id_option = click.option("--id", "correlation_id", envvar="ID", help="The X-Request-ID to send; without it, a new one.")
type_option = click.option("--type", "task_type", envvar="TYPE", default="calculate_var", show_default=True)
data_option = click.option("--data", envvar="DATA", help="The request's `data` as JSON; without it, a sample.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Send one request into nine containers, see where its correlation ID is lost, and thread it back."""


def body_of(stack: Stack, task_type: str, data: str | None) -> dict[str, Any]:
    try:
        return client.request_body(task_type, None if data is None else json.loads(data))
    except ValueError as error:
        raise ClewError(f"DATA is no JSON: {error}.", stack.command("send")) from None
    except ClewError as error:
        raise ClewError(error.message, stack.command("send")) from None


@cli.command()
@stage_argument
@as_json
def up(stage: str, as_json: bool) -> None:
    """Start the stage's nine services and wait until they are ready."""
    stack = stage_stack(stage)
    driver, seconds = operate.up(stack, render.say)
    if as_json:
        render.data({"stage": stack.number, "driver": driver.name, "seconds": round(seconds, 2), "url": stack.url})
        return
    render.out.print(f"{stack.title} is up ({driver.name}, {seconds:.1f} s): {stack.url}")
    render.next_step(f"{stack.command('trace')}, or make lab for the lessons in notebooks")


@cli.command()
@click.argument("stage", metavar="STAGE|all")
@as_json
def down(stage: str, as_json: bool) -> None:
    """End the stage's services, also what a crash left behind, and remove their data."""
    stacks = all_stacks() if stage == "all" else [stage_stack(stage)]
    ended: dict[str, str | None] = {}
    titles = {stack.name: stack.title for stack in stacks}
    errors: list[ClewError] = []
    for stack in stacks:
        try:
            ended[stack.name] = operate.down(stack)
        except ClewError as error:  # the others are to be ended all the same
            errors.append(error)
    if errors:
        raise ClewError("\n".join(dict.fromkeys(error.message for error in errors)), errors[0].next_step)
    if as_json:
        render.data({"ended": ended})
        return
    for name, driver in ended.items():
        if driver or stage != "all":
            render.out.print(f"{titles[name]} is down{'' if driver else ' already'}.")
    if not any(ended.values()) and stage == "all":
        render.out.print("Nothing was up.")


@cli.command()
@stage_argument
@as_json
def status(stage: str, as_json: bool) -> None:
    """Tell which of the nine services are ready; exit 1 when one is not."""
    stack = stage_stack(stage)
    driver = driver_of(stack)
    states = driver.status()
    services = {
        name: {
            "state": states[name],
            "ready": states[name] == "running" and operate.is_ready(stack, name),
            "port": stack.ports.get(name),
        }
        for name in SERVICES
    }
    report = {"stage": stack.number, "driver": driver.name, "mix": stack.mix, "services": services}
    render.data(report) if as_json else render.status(report)
    missing = [name for name, state in services.items() if not state["ready"]]
    if missing:
        raise ClewError(f"{len(missing)} of 9 are not ready: {', '.join(missing)}.", stack.command("up"))


@cli.command()
@stage_argument
@id_option
@type_option
@data_option
@as_json
def send(stage: str, correlation_id: str | None, task_type: str, data: str | None, as_json: bool) -> None:
    """Send one task request and print the answer."""
    stack = stage_stack(stage)
    driver_of(stack)
    answer = client.send(stack, correlation_id, body_of(stack, task_type, data))
    if as_json:
        render.data(vars(answer))
    else:
        render.out.print(f"sent     X-Request-ID: {answer.sent_id}", markup=False)
        render.out.print(
            f"answered {answer.status_code} in {answer.ms:.1f} ms, X-Request-ID: {answer.answered_id}", markup=False
        )
        if answer.status_code == 201:
            render.out.print(json.dumps(answer.body), markup=False)
    if answer.status_code != 201:
        raise client.refused(stack, answer)
    if not as_json:
        render.next_step(stack.command(f"logs ID={answer.task_id}"))


@cli.command()
@stage_argument
@id_option
@type_option
@data_option
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Also save the trail as an SVG.")
@as_json
def trace(
    stage: str, correlation_id: str | None, task_type: str, data: str | None, picture: Path | None, as_json: bool
) -> None:
    """Send one task request and find its five hops in the nine logs."""
    stack = stage_stack(stage)
    run = traces.trace(stack, correlation_id, body_of(stack, task_type, data))
    if picture is not None:
        render.save_picture(run, picture)
    render.data(run.to_json()) if as_json else render.trail(run)


@cli.command()
@stage_argument
@as_json
def check(stage: str, as_json: bool) -> None:
    """Hold a traced request against the truth table; exit 1 when they differ."""
    run = traces.trace(stage_stack(stage))
    if as_json:
        render.data({**run.to_json(), "as_predicted": run.as_predicted})
        sys.exit(0 if run.as_predicted else 1)
    traces.check(run)
    render.out.print(f"Stage {stage} is as the truth table says: {', '.join(run.verdicts)}.")


@cli.command()
@stage_argument
@id_option
@as_json
def diff(stage: str, correlation_id: str | None, as_json: bool) -> None:
    """Show what the stage's fix changes in the source and in the logs of the same request."""
    found = diffs.stage_diff(ladder.stage(stage).number, correlation_id, None, render.say)
    render.data(found.to_json()) if as_json else render.stage_diff(found)


@cli.command(name="logs")
@stage_argument
@click.option("--id", "wanted", envvar="ID", help="Only lines with this correlation, request or task ID.")
@click.option("--service", envvar="SERVICE", help="Only lines of this service.")
@as_json
def show_logs(stage: str, wanted: str | None, service: str | None, as_json: bool) -> None:
    """Search all nine services' logs at once, in time order."""
    stack = stage_stack(stage)
    driver = driver_of(stack)
    began = time.monotonic()
    lines = logs.read(driver)
    if service:
        lines = [line for line in lines if line["service"] == checked_service(service)]
    if wanted:
        lines = logs.with_id(lines, wanted)
    if as_json:
        render.data(lines)
        return
    render.log_lines(lines)
    if wanted:
        found_in = len({line["service"] for line in lines})
        seconds = time.monotonic() - began
        render.say(
            f"{len(lines)} lines with {wanted} in {found_in} of 9 services, found in {seconds:.1f} s by one search"
        )
        if not lines:
            render.next_step(stack.command(f"trace ID={shlex.quote(wanted)}"), render.err)


@cli.command()
@stage_argument
@id_option
@type_option
@as_json
def message(stage: str, correlation_id: str | None, task_type: str, as_json: bool) -> None:
    """Show the raw Celery message of a request as it lies in Redis; the workers stop consuming for that moment."""
    found = messages.message(stage_stack(stage), correlation_id, client.request_body(task_type))
    render.data(found) if as_json else render.message(found)


def gathered(runs: Iterator[traces.Run], total: int, what: str) -> list[traces.Run]:
    """Collect runs while showing how far it is: a bar in a terminal, a line a run elsewhere."""
    found = []
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=render.err, disable=not render.err.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        for run in runs:
            found.append(run)
            progress.advance(task)
            if not render.err.is_terminal:
                render.say(f"{len(found)}/{total} {render.title_of(run)}: {', '.join(run.verdicts)}")
    return found


def report_runs(
    kind: str, runs: list[traces.Run], name: Callable[[traces.Run], str], began: float, as_json: bool, expectation: bool
) -> None:
    path = journeys.save(kind, runs, name)
    if as_json:
        render.data(journeys.summary(runs))
    else:
        render.matrix(runs, expectation)
        predicted = sum(run.as_predicted for run in runs)
        seconds = time.monotonic() - began
        render.out.print(
            f"\n{predicted} of {len(runs)} as predicted, in {seconds:.0f} s; saved as {shown(path)} and .json"
        )
    journeys.require_predicted(runs, kind)


@cli.command()
@as_json
def journey(as_json: bool) -> None:
    """Trace the same request on all six stages; print and save the matrix with measured latencies."""
    began = time.monotonic()
    runs = gathered(journeys.journey(render.say), len(ladder.STAGE_LIST), "stages")
    report_runs("journey", runs, lambda run: f"{run.stage:02}", began, as_json, expectation=False)


@cli.command()
@as_json
def lattice(as_json: bool) -> None:
    """Trace the same request on all 32 mixes of fixed and broken layers; print expected and observed."""
    began = time.monotonic()
    runs = gathered(journeys.lattice(render.say), 2 ** len(ladder.LAYERS), "mixes")
    runs.sort(key=lambda run: run.mix)
    report_runs("lattice", runs, lambda run: run.mix, began, as_json, expectation=True)
    if not as_json:
        whole = sum(set(run.verdicts) == {"kept"} for run in runs)
        render.out.print(f"{whole} of {len(runs)} mixes traces end to end: one missing layer is a broken trace.")


@cli.command()
@as_json
def doctor(as_json: bool) -> None:
    """Tell which driver will be used and why, what is missing, and what each missing thing costs."""
    report = doctors.examine()
    render.data(report) if as_json else render.doctor(report)


@cli.command()
def record() -> None:
    """Record all six stages and all 32 mixes on live stacks, for where none can be started."""
    from clew.lab import record as recordings

    for path in recordings.record(render.say):
        render.out.print(f"Written: {shown(path)}")


@cli.command()
@click.argument("names", nargs=-1)
@click.option("--replay", is_flag=True, help="Play the recordings instead of running stacks.")
@click.option("--keep", is_flag=True, help="Only execute and check; leave the files as they are.")
def notebooks(names: tuple[str, ...], replay: bool, keep: bool) -> None:
    """Execute the notebooks from top to bottom, check their outputs, and save them."""
    from clew.lab import lessons

    lessons.run(names, replay, write=not keep, say=lambda text: render.out.print(text, markup=False))


@cli.command()
def lab() -> None:
    """Open the notebooks in JupyterLab."""
    from clew.lab import lessons

    lessons.lab()


@cli.command(name="ladder")
@click.option("--check", is_flag=True, help="Only tell whether the middle is what the two ends make of it.")
def rewrite_ladder(check: bool) -> None:
    """Write stages 01 to 04 and every README anew from the two written ends, 00 and 05."""
    if not check:
        ladder.rewrite()
    differences = ladder.disagreements()
    for difference in differences:
        render.out.print(difference, markup=False)
    if any("does not belong" in difference for difference in differences):
        raise ClewError("A stage folder holds more than a stage.", "remove what does not belong there")
    if differences:
        raise ClewError("The stages are not what their two ends make of them.", "make ladder")
    render.out.print("Stages 01 to 04 are what 00 and 05 make of them.")


def fail(error: ClewError) -> NoReturn:
    if "--json" in sys.argv:
        render.data({"error": error.message, "next": error.next_step})
    render.error(error)
    sys.exit(1)


def main() -> None:
    """Run a command; a known problem ends with exit code 1 and the next command to type."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        cli(standalone_mode=False)
    except ClewError as error:
        fail(error)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        render.error(ClewError("Interrupted.", os.environ.get("CLEW_COMMAND") or "make doctor"))
        sys.exit(130)
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        fail(ClewError(f"{error.strerror or error}{where}.", "make doctor"))
