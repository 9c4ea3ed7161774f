"""The commands on a Docker Swarm: `make swarm-up NODES=3`, `make swarm-scale WORKERS=6`."""

from __future__ import annotations

from typing import Any, cast

import click
from rich.table import Table

from clew.cli.options import as_json, id_option
from clew.core.errors import ClewError
from clew.core.paths import shown
from clew.evidence import trace as traces
from clew.show import drills as words
from clew.show import terminal
from clew.stacks.drivers import Driver
from clew.swarm import autoscale, control, drill, nodes
from clew.swarm.cluster import API, WORKER, Cluster, current, repair, running
from clew.swarm.cluster import NAME as STACK

REGISTRY = click.option("--registry", envvar="CLEW_REGISTRY", default="", help="Where several machines pull from.")
STAGE = click.option("--stage", envvar="CLEW_STAGE", type=click.IntRange(0, 5), default=3, show_default=True)
NODE = click.option("--node", envvar="CLEW_NODE", help="Its number; on a Swarm of your own its name.")


@click.group()
def swarm() -> None:
    """A stage on three nodes: containers on this machine, or a Swarm of yours (DOCKER_HOST)."""


@swarm.command()
@click.option(
    "--nodes", "count", envvar="CLEW_NODES", type=int, default=3, show_default=True, help="How many to make here."
)
@STAGE
@REGISTRY
@as_json
def up(count: int, stage: int, registry: str, as_json: bool) -> None:
    """Make the nodes and deploy a stage on them."""
    cluster, took = control.up(stage, count, registry, terminal.say)
    found = {
        "stage": stage,
        "seconds": {part: round(value, 1) for part, value in took.items()},
        "doors": cluster.doors(),
    }
    if as_json:
        terminal.data(found)
        return
    parts = ", ".join(f"{part} {value:.1f} s" for part, value in took.items())
    terminal.out.print(
        f"Stage {stage} is up in a Swarm, {sum(took.values()):.1f} s ({parts}): {' '.join(cluster.doors())}"
    )
    terminal.next_step("make swarm-trace, or make swarm-drill")


@swarm.command()
@as_json
def status(as_json: bool) -> None:
    """Print the nodes, the services and where each task runs; exit 1 when a task is missing."""
    try:
        cluster = current()
        machines = cluster.rows("node", "ls")
        tasks = cluster.tasks()
        replicas = running(tasks, cluster.replicas())
    except ClewError as error:
        again = error.next_step == "make swarm-status"
        raise ClewError(error.message, repair("info") if again else error.next_step) from None
    if as_json:
        terminal.data({"nodes": machines, "replicas": replicas, "tasks": tasks})
    else:
        for node in machines:
            told = f"{node['Status']}, {node['Availability']} {node['ManagerStatus']}"
            terminal.out.print(f"{node['Hostname']:<10} {told}", markup=False)
        for task in sorted(tasks, key=lambda one: str(one["Name"])):
            terminal.out.print(f"{task['Name']:<44} {task['Node']:<10} {task['CurrentState']}", markup=False)
    late = {name: f"{name} {run}/{wanted}" for name, (run, wanted) in replicas.items() if run < wanted}
    if late:
        question = f"service ps --no-trunc {STACK}_{next(iter(late))}"
        raise ClewError(f"Not all tasks run: {', '.join(late.values())}.", repair(question))


@swarm.command()
@id_option
@as_json
def trace(correlation_id: str | None, as_json: bool) -> None:
    """Send one task request and find its five hops, on whichever nodes they are."""
    cluster = current()
    run = traces.trace(cluster.stack, correlation_id, driver=cast("Driver", cluster))
    terminal.data(run.to_json()) if as_json else terminal.trail(run)


@swarm.command()
@click.option("--workers", envvar="CLEW_WORKERS", type=click.IntRange(0), help="How many workers.")
@click.option("--apis", envvar="CLEW_APIS", type=click.IntRange(0), help="How many API servers.")
def scale(workers: int | None, apis: int | None) -> None:
    """Have so many workers and API servers."""
    wanted = {name: count for name, count in ((WORKER, workers), (API, apis)) if count is not None}
    if not wanted:
        raise ClewError("Neither WORKERS nor APIS was given.", "make swarm-scale WORKERS=6 APIS=6")
    seconds = control.scale(current(), wanted)
    told = ", ".join(f"{count} × {name}" for name, count in wanted.items())
    terminal.out.print(f"{told}, ready after {seconds:.1f} s.")


@swarm.command()
@STAGE
@REGISTRY
def update(stage: int, registry: str) -> None:
    """Roll out another stage while requests run."""
    _, seconds = control.update(current(), stage, registry, terminal.say)
    terminal.out.print(f"Stage {stage} runs everywhere, after {seconds:.1f} s.")
    terminal.next_step("make swarm-trace")


@swarm.command()
@NODE
def drain(node: str | None) -> None:
    """Take everything off a node, as before its maintenance."""
    cluster = current()
    name = named(cluster, node)
    terminal.out.print(f"{name} is empty, and all tasks run elsewhere, after {control.drain(cluster, name):.1f} s.")
    terminal.next_step(f"make swarm-restore NODE={node}")


@swarm.command()
@NODE
def kill(node: str | None) -> None:
    """Kill a node that is a container here, as when a machine loses its power."""
    number = numbered(node)
    for what, seconds in control.kill(current(), number).items():
        terminal.out.print(f"{what:<12} after {seconds:.1f} s")
    if number == nodes.WITH_REDIS:
        terminal.out.print("Redis was there: nothing is accepted until the node works again.")
    terminal.next_step(f"make swarm-restore NODE={number}")


@swarm.command()
@NODE
def restore(node: str | None) -> None:
    """Have a node work again that was drained or killed."""
    cluster = current()
    name = named(cluster, node)
    terminal.out.print(f"{name} works again after {control.restore(cluster, name):.1f} s.")


@swarm.command(name="autoscale")
@click.option("--seconds", envvar="CLEW_SECONDS", type=float, default=120.0, show_default=True)
@click.option("--most", envvar="CLEW_WORKERS", type=click.IntRange(1), default=6, show_default=True)
def scale_by_depth(seconds: float, most: int) -> None:
    """Scale the workers by how many tasks wait, for a while."""
    for look in autoscale.control(current(), autoscale.Rules(most=most), seconds):
        change = "" if look.before == look.after else f" -> {look.after}"
        terminal.out.print(f"{look.at:5.0f} s  {look.waiting:5} waiting  {look.before} workers{change}", markup=False)


@swarm.command(name="drill")
@click.option("--seed", envvar="CLEW_SEED", type=int, default=7, show_default=True, help="Of all that is random.")
@click.option("--rate", envvar="CLEW_RATE", type=click.FloatRange(1, 50), default=20.0, show_default=True)
@as_json
def run_drill(seed: int, rate: float, as_json: bool) -> None:
    """Scale, update, drain and kill under load, and count what was lost. Exit 0 held, 1 broken, 2 unknown."""
    result = drill.run(current(), seed, rate, terminal.say)
    if as_json:
        terminal.data(result.to_json())
    else:
        steps_table(result.notes["steps"])
        words.result(result)
        terminal.out.print(f"Saved in {shown(result.folder)}: result.json, logs, requests.jsonl", markup=False)
    raise SystemExit(result.exit_code)


def steps_table(steps: list[dict[str, Any]]) -> None:
    """Print the figures of each step."""
    table = Table(box=None, pad_edge=False)
    for heading in ("step", "seconds", "requests", "p50 ms", "p99 ms", "max ms", "tried again", "failed"):
        table.add_column(heading, overflow="fold")
    for one in steps:
        further = "".join(f"\n  {what}: {seconds} s" for what, seconds in one["measured"].items())
        times = one["latency_ms"]
        figures = (
            one["seconds"],
            one["requests"],
            times["p50"],
            times["p99"],
            times["max"],
            one["tried_again"],
            one["failed"],
        )
        table.add_row(one["step"] + further, *(str(figure) for figure in figures))
    terminal.out.print(table)


@swarm.command()
def down() -> None:
    """Remove the stack, and the nodes that were made here with all that is on them."""
    removed = control.down()
    terminal.out.print("The Swarm is down." if removed else "No Swarm was up.")


def numbered(node: str | None) -> int:
    """Return the number of a node.

    Raises:
        ClewError: it is not one.
    """
    if node is None or not node.isdecimal():
        raise ClewError(f"NODE is {node!r}; it must be the number of a node.", "make swarm-status")
    return int(node)


def named(cluster: Cluster, node: str | None) -> str:
    """Return the host name of a node.

    Raises:
        ClewError: none was named.
    """
    if not cluster.yours:
        return f"node-{numbered(node)}"
    if not node:
        raise ClewError("NODE is not set; it must be the name of a node of your Swarm.", "make swarm-status")
    return node


COMMANDS: tuple[Any, ...] = (swarm,)
