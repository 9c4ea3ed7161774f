"""The commands on one stage: `make stage-3 up trace`."""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from clew import ladder
from clew.cli.options import as_json, data_option, id_option, stage_argument, type_option
from clew.cli.report import report
from clew.core.errors import ClewError
from clew.evidence import client, logs
from clew.evidence import diff as diffs
from clew.evidence import message as messages
from clew.evidence import trace as traces
from clew.evidence import two as crossing
from clew.show import terminal
from clew.show import two as two_words
from clew.stacks import freshness, lifecycle, ready
from clew.stacks.drivers import driver_of
from clew.stacks.services import SERVICES, checked_service
from clew.stacks.stack import Stack, all_stacks, stack_named, stacks_elsewhere, stage_stack
from clew.swarm import control as swarms

SHOWN_IDS = 5


def body_of(stack: Stack, task_type: str, data: str | None) -> dict[str, Any]:
    try:
        return client.request_body(task_type, None if data is None else client.parsed_data(data))
    except ValueError as error:
        raise ClewError(f"DATA cannot be sent: {error}.", stack.command("send")) from None
    except ClewError as error:
        raise ClewError(error.message, stack.command("send")) from None


@click.command()
@stage_argument
@click.option("--port", envvar="CLEW_PORT", help="The front door's port; without it, 80N0 for stage N.")
@as_json
def up(stage: str, port: str | None, as_json: bool) -> None:
    """Start the stage's nine services and wait until they are ready."""
    stack = stage_stack(stage, port)
    driver, seconds = lifecycle.up(stack, terminal.say)
    if as_json:
        terminal.data({"stage": stack.number, "driver": driver.name, "seconds": round(seconds, 2), "url": stack.url})
        return
    terminal.out.print(f"{stack.title} is up ({driver.name}, {seconds:.1f} s): {stack.url}")
    terminal.next_step(f"{stack.command('trace')}, or make lab for the lessons in notebooks")


@click.command()
@click.argument("stage", metavar="STAGE|all")
@click.option("--clean", is_flag=True, help="Fail if a process of this checkout is left.")
@as_json
def down(stage: str, clean: bool, as_json: bool) -> None:
    """End the stage's services, also what a crash left behind, and remove their data."""
    elsewhere = stacks_elsewhere()
    stacks = [*all_stacks(), *elsewhere] if stage == "all" else [stack_named(stage)]
    ended: dict[str, str | None] = {}
    titles = {stack.name: stack.title for stack in stacks}
    errors: list[ClewError] = []
    try:
        if stage == "all" and swarms.has_nodes_here() and swarms.down():
            ended["swarm"], titles["swarm"] = "swarm", "The Swarm"
    except ClewError as error:
        errors.append(error)
    for stack in stacks:
        try:
            with lifecycle.reserved(stack) if stack.number is None else contextlib.nullcontext():
                ended[stack.name] = lifecycle.down(stack)
        except ClewError as error:  # end the others all the same
            errors.append(error)
    if errors:
        raise ClewError("\n".join(dict.fromkeys(error.message for error in errors)), errors[0].next_step)
    if clean:
        lifecycle.require_nothing_left()
    if as_json:
        terminal.data({"ended": ended})
        return
    for name, driver in ended.items():
        if driver or stage != "all":
            terminal.out.print(f"{titles[name]} is down{'' if driver else ' already'}.")
    if not any(ended.values()) and stage == "all":
        terminal.out.print("Nothing was up.")
    for stack in elsewhere:
        if stage == str(stack.number):
            terminal.out.print(f"{stack.title} was left as it is.")
            terminal.next_step(stack.command("down"))


@click.command()
@stage_argument
@as_json
def status(stage: str, as_json: bool) -> None:
    """Tell which of the nine services are ready; exit 1 when one is not."""
    stack = stack_named(stage)
    driver = driver_of(stack)
    states = driver.status()
    idle = ready.not_ready(stack)
    services = {
        name: {
            "state": states[name],
            "ready": states[name] == "running" and name not in idle,
            "port": stack.ports.get(name),
        }
        for name in SERVICES
    }
    problem, changed = None, {}
    try:
        changed = freshness.changed_since_start(stack, driver)
    except ClewError as error:  # of a supervisord that does not answer
        problem = error
    found = {
        "stage": stack.number, "driver": driver.name, "mix": stack.mix, "services": services, "changed": changed
    }  # fmt: skip
    with contextlib.suppress(ClewError):  # Flower has not made it yet
        found["login"] = f"learner:{driver.password('flower', 'web')}"
    missing = [name for name, state in services.items() if not state["ready"]]
    if missing and problem is None:
        reason = f"{len(missing)} of 9 are not ready: {', '.join(missing)}."
        problem = ClewError(reason, stack.command("up"))
    report(found, as_json, terminal.status, problem)


@click.command()
@stage_argument
@id_option
@type_option
@data_option
@click.option("--count", type=click.IntRange(1, 200), envvar="CLEW_COUNT", default=1, help="So many at once.")
@as_json
def send(stage: str, correlation_id: str | None, task_type: str, data: str | None, count: int, as_json: bool) -> None:
    """Send one task request and print the answer, or several at once."""
    stack = stack_named(stage)
    try:
        freshness.require_current(stack, driver_of(stack))
    except freshness.Outdated as outdated:  # the request is sent all the same: its answer is no verdict on a file
        terminal.say(f"{outdated.message} {stack.command('up')} restarts the services concerned.")
    if count > 1:
        send_many(stack, correlation_id or client.new_id(), body_of(stack, task_type, data), count, as_json)
        return
    answer = client.send(stack, correlation_id, body_of(stack, task_type, data))

    def show(_: dict[str, Any]) -> None:
        terminal.out.print(f"sent     X-Request-ID: {answer.sent_id}", markup=False)
        terminal.out.print(
            f"answered {answer.status_code} in {answer.ms:.1f} ms, X-Request-ID: {answer.answered_id}", markup=False
        )
        if answer.status_code == 201:
            terminal.out.print(json.dumps(answer.body), markup=False)

    report(vars(answer), as_json, show, None if answer.status_code == 201 else client.refused(stack, answer))
    if not as_json:
        terminal.next_step(stack.command(f"logs ID={answer.task_id}"))


def send_many(stack: Stack, first_id: str, body: dict[str, Any], count: int, as_json: bool) -> None:
    """Send requests at the same time, with the IDs `first_id`-1, -2 and so on, and print what each was answered."""
    with ThreadPoolExecutor(count) as clients:
        ids = [f"{first_id}-{number}" for number in range(1, count + 1)]
        answers = list(clients.map(lambda sent_id: client.send(stack, sent_id, body), ids))
    if as_json:
        terminal.data([vars(answer) for answer in answers])
        return
    for answer in answers:
        told = answer.body.get("task_id") or answer.body.get("detail", "")
        terminal.out.print(f"{answer.sent_id}  {answer.status_code}  {told}", markup=False)
    terminal.next_step(stack.command(f"logs ID={ids[0]}"))


@click.command()
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
    stack = stack_named(stage)
    if stack.kind == "mystery":
        raise ClewError(
            "A trace would give the answer away. You have the logs, requests of your own, and the message.",
            "make mystery logs",
        )
    run = traces.trace(stack, correlation_id, body_of(stack, task_type, data))
    if picture is not None:
        terminal.save_picture(run, picture)
    terminal.data(run.to_json()) if as_json else terminal.trail(run)


@click.command()
@stage_argument
@as_json
def two(stage: str, as_json: bool) -> None:
    """Send two requests at the same time, and tell whose each log line is, where the lines tell."""
    found = crossing.two(stage_stack(stage))
    terminal.data(found.to_json()) if as_json else two_words.terminal(found)


@click.command()
@stage_argument
@as_json
def check(stage: str, as_json: bool) -> None:
    """Compare a traced request with the truth table; exit 1 when they differ."""
    run = traces.trace(stage_stack(stage))
    said = f"Stage {stage} matches the truth table: {', '.join(run.verdicts)}."
    try:
        traces.check(run)
        problem = None
    except ClewError as error:
        problem = error
    found = {**run.to_json(), "as_predicted": run.as_predicted}
    report(found, as_json, lambda _: None if problem else terminal.out.print(said), problem)


@click.command()
@stage_argument
@id_option
@as_json
def diff(stage: str, correlation_id: str | None, as_json: bool) -> None:
    """Show what the stage's fix changes in the source and in the logs of the same request."""
    found = diffs.stage_diff(ladder.stage(stage).number, correlation_id, None, terminal.say)
    terminal.data(found.to_json()) if as_json else terminal.stage_diff(found)


@click.command(name="logs")
@stage_argument
@click.option("--id", "wanted", envvar="CLEW_ID", help="Only lines with this correlation, request or task ID.")
@click.option("--service", envvar="CLEW_SERVICE", help="Only lines of this service.")
@as_json
def show_logs(stage: str, wanted: str | None, service: str | None, as_json: bool) -> None:
    """Search all nine services' logs at once, in time order."""
    stack = stack_named(stage)
    driver = driver_of(stack)
    try:
        only = checked_service(service) if service else None
    except ClewError as error:
        raise ClewError(error.message, stack.command("status")) from None
    began = time.monotonic()
    found = logs.search(driver, wanted) if wanted else logs.read(driver)
    lines = [line for line in found if only in (None, line["service"])]
    if as_json:
        terminal.data(lines)
        return
    terminal.log_lines(lines)
    if wanted:
        found_in = len({line["service"] for line in lines})
        seconds = time.monotonic() - began
        terminal.say(
            f"{len(lines)} lines with {wanted} in {found_in} of 9 services, found in {seconds:.1f} s by one search"
        )
        searched = [] if lines else [line for line in logs.read(driver) if only in (None, line["service"])]
        if longer := logs.ids_that_begin_with(searched, wanted):
            others = f", and {len(longer) - SHOWN_IDS} more" if len(longer) > SHOWN_IDS else ""
            terminal.say(
                f"No line has exactly this ID. IDs that begin with it: {', '.join(longer[:SHOWN_IDS])}{others}."
            )
            terminal.next_step(stack.command(f"logs ID={shlex.quote(longer[0])}"), terminal.err)
        elif not lines:
            terminal.say(
                "No line has exactly this ID, and no ID begins with it. A layer that replaces the ID logs its own."
            )
            verb = "logs" if stack.kind == "mystery" else f"trace ID={shlex.quote(wanted)}"
            terminal.next_step(stack.command(verb), terminal.err)


@click.command()
@stage_argument
@id_option
@type_option
@as_json
def message(stage: str, correlation_id: str | None, task_type: str, as_json: bool) -> None:
    """Show the raw Celery message of a request in Redis; the workers stop consuming for that moment."""
    stack = stack_named(stage)
    found = messages.message(stack, correlation_id, body_of(stack, task_type, None))
    terminal.data(found) if as_json else terminal.message(found)


@click.command()
@stage_argument
def watch(stage: str) -> None:
    """Show the five hops live, as requests pass; q quits."""
    stack = stack_named(stage)
    try:
        from clew.lab.watch import run
    except ModuleNotFoundError as error:
        raise ClewError(f"{error.name} is not installed.", "python3 stack/bootstrap.py run watch") from None
    if stack.kind == "mystery":
        raise ClewError("The live view would give the answer away.", "make mystery logs")
    run.run(stack)


COMMANDS = (up, down, status, send, trace, two, check, diff, show_logs, message, watch)
