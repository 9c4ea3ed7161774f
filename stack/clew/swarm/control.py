"""What people do with a Swarm: up, scale, update, drain, kill, restore, down. Each returns the seconds that it took."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from clew import ladder, provision
from clew.core.errors import ClewError
from clew.core.files import write_whole
from clew.stacks import lifecycle
from clew.stacks.drivers import Say
from clew.stacks.stack import Stack
from clew.swarm import images, nodes, stackfile
from clew.swarm.cluster import (
    API,
    FLOWER,
    IN_ORDER,
    NAME,
    NGINX,
    READY_SECONDS,
    REDIS,
    WORKER,
    Cluster,
    current,
    note,
    noted,
    require_same_engine,
    swarm_stack,
    wait_for,
)

REPLICATED = (API, WORKER, REDIS, FLOWER)
REDIS_LABEL = "clew.redis=yes"
WEB_PASSWORD = "flower-web-password"  # noqa: S105 - the name of its file


def up(stage: int, count: int, registry: str, say: Say) -> tuple[Cluster, dict[str, float]]:
    """Deploy a stage on `count` nodes that are made here, or where DOCKER_HOST is set on that Swarm.

    `registry` is where a Swarm of several machines takes the image from, such as `registry.example/clew`; nodes that
    are made here get it as a file. Return the Swarm, and the seconds that each part took.

    Raises:
        ClewError: it could not be deployed, or did not get ready.
    """
    stack = swarm_stack(stage)
    yours = bool(os.environ.get("DOCKER_HOST"))
    cluster = Cluster(stack, yours)
    took: dict[str, float] = {}
    with lifecycle.only_one(stack):
        if not 1 <= count <= nodes.MOST_NODES:
            raise ClewError(f"NODES is {count}; it must be 1 to {nodes.MOST_NODES}.", "make swarm-up NODES=3")
        if facts := noted(stack):
            raise ClewError(f"A Swarm with stage {facts['stage']} is up already.", "make swarm-down")
        nodes.shared(stack).mkdir(parents=True, exist_ok=True)
        provision.ensure_compose(say)
        began = time.monotonic()
        image = images.build_stage(stage, say)
        if yours:
            image = _on_yours(cluster, stage, registry, image)
        else:
            images.build_node(say)
        took["images"] = time.monotonic() - began
        note(stack, {"stage": stage, "yours": yours})  # from here on there is something to take down
        try:
            if not yours:
                began = time.monotonic()
                _start_nodes(cluster, stage, count, say)
                took["nodes"] = time.monotonic() - began
            began = time.monotonic()
            _deploy(cluster, image, say)
            took["services"] = time.monotonic() - began
        except KeyboardInterrupt:
            say("Interrupted; make swarm-down removes what is there.")
            raise
    return cluster, took


def _start_nodes(cluster: Cluster, stage: int, count: int, say: Say) -> None:
    stack = cluster.stack
    if nodes.existing(stack):
        raise ClewError("There are nodes already that a command left behind.", "make swarm-down")
    say(f"Starting {count} nodes, each a container with an engine of its own")
    everyone = range(1, count + 1)
    with ThreadPoolExecutor() as pool:
        saving = pool.submit(images.save, [images.stage_image(stage)], nodes.shared(stack))
        nodes.create(stack, count)
        loading = pool.submit(nodes.load, stack, everyone, saving.result())
        _form(stack, count)
        say("Loading the image into the nodes")
        loading.result()
    cluster.ask("node", "update", "--label-add", REDIS_LABEL, f"node-{nodes.WITH_REDIS}")


def _form(stack: Stack, count: int) -> None:
    """Make a Swarm of the nodes."""
    first = nodes.first_leader(count)
    _in(stack, first, "swarm", "init", "--advertise-addr", "eth0", "--task-history-limit", "20")
    for number in range(1, count + 1):
        if number != first:
            role = "manager" if number in nodes.managers(count) else "worker"
            token = _in(stack, first, "swarm", "join-token", "--quiet", role).strip()
            address = _in(stack, first, "info", "--format", "{{.Swarm.NodeAddr}}").strip()
            _in(stack, number, "swarm", "join", "--advertise-addr", "eth0", "--token", token, f"{address}:2377")


def _in(stack: Stack, number: int, *arguments: str) -> str:
    done = nodes.execute(stack, number, ["docker", *arguments])
    if done.code != 0:
        raise ClewError(f"Node {number}, docker {arguments[0]} {arguments[1]}: {done.errors}", "make swarm-down")
    return done.output


def _on_yours(cluster: Cluster, stage: int, registry: str, image: str) -> str:
    """Return the image that the nodes of your Swarm can have.

    Raises:
        ClewError: it is no Swarm, or has several nodes and no registry was named.
    """
    state = cluster.ask("info", "--format", "{{.Swarm.ControlAvailable}} {{.Swarm.Nodes}}").split()
    if state[0] != "true":
        raise ClewError("The engine that DOCKER_HOST names is not a manager of a Swarm.", "docker swarm init")
    if registry:
        name = f"{registry}:stage-{stage}"
        images.push(images.stage_image(stage), name)
        return name
    if int(state[1]) > 1:
        raise ClewError(
            f"Your Swarm has {state[1]} nodes, and only the one that DOCKER_HOST names has the image.",
            "make swarm-up REGISTRY=registry.example/clew   (a registry that all nodes can pull from)",
        )
    return image


def _deploy(cluster: Cluster, image: str, say: Say) -> None:
    """Write the stack file and its secrets, deploy them, and wait until everything is ready."""
    stack = cluster.stack
    described = stackfile.stack_file(image, stack.compose_environment)
    if cluster.yours:  # a port in mode host is open on every interface of its node
        del described["services"][FLOWER]["ports"]
    path = nodes.shared(stack) / "stack.yaml"
    write_whole(path, stackfile.text_of(described))
    if cluster.yours:
        first = cluster.ask("node", "ls", "--quiet", "--filter", "node.label=clew.redis").split()
        if not first:
            cluster.ask(
                "node", "update", "--label-add", REDIS_LABEL, cluster.ask("info", "-f", "{{.Swarm.NodeID}}").strip()
            )
    say("Deploying the stack")
    file = str(path) if cluster.yours else f"{nodes.SHARED}/{path.name}"
    resolve = ["--with-registry-auth"] if cluster.yours else ["--resolve-image", "never"]
    with _secrets(stack, described["secrets"]):
        cluster.ask("stack", "deploy", "--detach=true", *resolve, "--compose-file", file, NAME)
    cluster.wait_ready((*REPLICATED, NGINX))
    cluster.wait_answers(cluster.doors())


@contextlib.contextmanager
def _secrets(stack: Stack, names: Iterable[str]) -> Iterator[None]:
    """Keep new secrets next to the stack file until it is deployed; only Flower's stays: a person logs in there."""
    folder = nodes.shared(stack) / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        for name in names:
            write_whole(folder / name, secrets.token_hex(24))
        yield
        (folder / WEB_PASSWORD).chmod(0o600)
        (folder / WEB_PASSWORD).replace(stack.state / WEB_PASSWORD)
    finally:
        shutil.rmtree(folder)


def scale(cluster: Cluster, wanted: dict[str, int]) -> float:
    """Set how many tasks services have, and wait until they are ready."""
    began = time.monotonic()
    cluster.ask("service", "scale", "--detach", *(f"{NAME}_{name}={count}" for name, count in wanted.items()))
    cluster.wait_ready(list(wanted))
    return time.monotonic() - began


def update(cluster: Cluster, stage: int, registry: str, say: Say) -> tuple[Cluster, float]:
    """Roll out another stage, one task after the other, workers first; return the Swarm as it is then.

    Raises:
        ClewError: the new tasks did not get healthy; Swarm has gone back to the old ones.
    """
    ladder.stage(stage)
    image = images.build_stage(stage, say)
    if cluster.yours:
        image = _on_yours(cluster, stage, registry, image)
    else:
        say("Loading the image into the nodes")
        archive = images.save([images.stage_image(stage)], nodes.shared(cluster.stack))
        running = [number for number, runs in nodes.existing(cluster.stack).items() if runs]
        nodes.load(cluster.stack, running, archive, "make swarm-status")
    began = time.monotonic()
    for service in IN_ORDER:
        say(f"Updating {service}")
        name = f"{NAME}_{service}"
        how = ["--with-registry-auth"] if cluster.yours else ["--no-resolve-image"]
        cluster.ask("service", "update", "--detach", *how, "--image", image, name)
        state: list[str] = []

        def over(name: str = name, state: list[str] = state) -> bool:
            form = "{{if .UpdateStatus}}{{.UpdateStatus.State}} {{.UpdateStatus.Message}}{{end}}"
            state[:] = cluster.ask("service", "inspect", "--format", form, name).split(maxsplit=1)
            return bool(state) and state[0] in ("completed", "paused", "rollback_completed", "rollback_paused")

        wait_for(over, f"the update of {service}", 2 * READY_SECONDS)
        if state[0] != "completed":
            raise ClewError(f"{service} was not updated: {' '.join(state)}.", "make swarm-status")
    cluster.wait_ready(IN_ORDER)
    note(cluster.stack, {"stage": stage, "yours": cluster.yours})
    return current(), time.monotonic() - began


def drain(cluster: Cluster, node: str) -> float:
    """Take everything off a node, and wait until it runs elsewhere.

    Raises:
        ClewError: it is the node that has Redis, which cannot run elsewhere.
    """
    labelled = ["--filter", "node.label=clew.redis", "--format", "{{.ID}} {{.Hostname}}"]
    if node in cluster.ask("node", "ls", *labelled).split():
        other = "docker node ls" if cluster.yours else "make swarm-drain NODE=2"
        raise ClewError(f"{node} has Redis and its data: nothing would be accepted.", other)
    began = time.monotonic()
    cluster.ask("node", "update", "--availability", "drain", node)

    def empty() -> bool:
        return all(task["Node"] != node for task in cluster.tasks())

    wait_for(empty, f"{node} to be empty")
    cluster.wait_ready(REPLICATED)
    return time.monotonic() - began


def kill(cluster: Cluster, number: int) -> dict[str, float]:
    """Kill a node; return the seconds until there was a leader, and until what ran there ran elsewhere.

    What ran on the node with Redis is not waited for: without Redis nothing gets ready.

    Raises:
        ClewError: it is a node of your own Swarm, or nothing took its place.
    """
    require_own(cluster, number)
    node = f"node-{number}"
    before = cluster.leader()
    began = time.monotonic()
    nodes.kill(cluster.stack, number)
    took = {}
    wait_for(lambda: cluster.leader() not in (None, node), "a leader")
    if before == node:
        took["new leader"] = time.monotonic() - began

    def noticed() -> bool:
        return cluster.docker("node", "inspect", "--format", "{{.Status.State}}", node).output.strip() == "down"

    def elsewhere() -> bool:
        left = {task["Name"].split(".")[0] for task in cluster.tasks() if task["Node"] == node}
        return left <= {f"{NAME}_{NGINX}"}

    wait_for(noticed, f"the Swarm to notice that {node} is down")
    took["noticed"] = time.monotonic() - began
    if number == nodes.WITH_REDIS:
        return took
    wait_for(elsewhere, f"the tasks of {node} to move")
    cluster.wait_ready(REPLICATED)
    took["replaced"] = time.monotonic() - began
    return took


def restore(cluster: Cluster, node: str) -> float:
    """Have a node work again that was killed or drained; Swarm moves nothing back to it automatically."""
    began = time.monotonic()
    if not cluster.yours:
        number = int(node.removeprefix("node-"))
        require_own(cluster, number)
        if not nodes.existing(cluster.stack)[number]:
            nodes.start(cluster.stack, number)
    cluster.ask("node", "update", "--availability", "active", node)
    if cluster.yours:
        state = ["node", "inspect", "--format", "{{.Status.State}}", node]
        wait_for(lambda: cluster.ask(*state).strip() == "ready", f"{node} to be ready")
    cluster.wait_ready(REPLICATED)
    cluster.wait_answers(cluster.doors() if cluster.yours else [cluster.door(number)])
    return time.monotonic() - began


def require_own(cluster: Cluster, number: int) -> None:
    """Make sure that a node is a container that was made here.

    Raises:
        ClewError: it is not.
    """
    if cluster.yours:
        raise ClewError("This kills only nodes that are containers here.", "unset DOCKER_HOST")
    if number not in nodes.existing(cluster.stack):
        raise ClewError(f"There is no node {number}.", "make swarm-status")


def has_nodes_here() -> bool:
    """Tell whether `make swarm-up` made nodes on this machine."""
    return noted(swarm_stack(0)).get("yours") is False


def down() -> bool:
    """Remove the stack from your Swarm, or the nodes that were made here; return whether there was anything.

    Raises:
        ClewError: DOCKER_HOST names another engine than at `make swarm-up`.
    """
    stack = swarm_stack(0)
    with lifecycle.only_one(stack), lifecycle.undisturbed():
        facts = noted(stack)
        if facts:
            require_same_engine(facts)
        there = bool(facts)
        if facts.get("yours"):
            Cluster(stack, True).ask("stack", "rm", NAME)
        else:
            there = nodes.remove(stack)
        for path in stack.state.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return there
