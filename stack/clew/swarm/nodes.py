"""The nodes of a Swarm on this machine: each a container with a Docker engine of its own.

Everything that is made has the label of this checkout and these ports, and goes with `remove`. A node keeps its disk, a
volume, when it is killed: it can come back, as a machine does after its power was cut.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clew.core.errors import ClewError
from clew.core.processes import Result, run, tail
from clew.core.wait import wait_until
from clew.stacks.stack import Stack, checkout_mark
from clew.swarm.images import NODE_IMAGE

MOST_NODES = 5  # each has a front door among the stack's ten ports
MANAGERS = 3
WITH_REDIS = 1
LABEL = "clew.swarm"
SHARED = "/srv/clew"  # in a node: the folder `shared`
ENGINE_SECONDS = 60
CAPABILITIES = ("NET_ADMIN", "SYS_ADMIN", "NET_RAW", "MKNOD", "SYS_PTRACE")
UNCONFINED = ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
FLOWER_PORT = 5555


def mark(stack: Stack) -> str:
    """Return the name that everything of this Swarm begins with."""
    return f"clew-swarm-{checkout_mark()}-{stack.prefix}"


def node_name(stack: Stack, number: int) -> str:
    return f"{mark(stack)}-node-{number}"


def shared(stack: Stack) -> Path:
    """Return the folder that the nodes see, with the images and the stack file."""
    return stack.state / "shared"


def managers(count: int) -> range:
    """Return the numbers of the nodes that are managers: three, or one where there are fewer than three nodes.

    Two managers would be worse than one: without either of them there is no majority.
    """
    return range(1, MANAGERS + 1) if count >= MANAGERS else range(1, 2)


def first_leader(count: int) -> int:
    """Return the node that starts the Swarm: not the first one, which has Redis, where there are three."""
    return managers(count)[-1]


def run_command(stack: Stack, number: int, address: str) -> list[str]:
    """Return the command that starts a node. It takes these rights, where many give such a container all of them."""
    name = node_name(stack, number)
    ports = [f"127.0.0.1:{stack.block + number - 1}:80"]
    if number == 1:
        ports.append(f"127.0.0.1:{stack.block + 5}:{FLOWER_PORT}")
    return [
        "docker", "run", "--detach", "--init", f"--name={name}", f"--hostname=node-{number}",
        f"--label={LABEL}={mark(stack)}", f"--network={mark(stack)}", f"--ip={address}",
        *(f"--cap-add={one}" for one in CAPABILITIES),
        *(f"--security-opt={one}" for one in UNCONFINED),
        "--env=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1", f"--env=CGROUP={mark(stack)}",
        "--volume=/sys/fs/cgroup:/sys/fs/cgroup", f"--volume={name}:/var/lib/docker",
        f"--volume={shared(stack)}:{SHARED}:ro",
        *(f"--publish={port}" for port in ports),
        NODE_IMAGE,
    ]  # fmt: skip


def create(stack: Stack, count: int) -> None:
    """Start the nodes and wait until their engines answer.

    Raises:
        ClewError: one did not start.
    """
    addresses = _network(stack)
    for number in range(1, count + 1):
        volume = ["docker", "volume", "create", f"--label={LABEL}={mark(stack)}", node_name(stack, number)]
        _ok(run(volume, 30), "The volume of a node could not be made")
    with ThreadPoolExecutor(count) as pool:
        commands = [run_command(stack, number, addresses[number - 1]) for number in range(1, count + 1)]
        for done in pool.map(lambda command: run(command, 60), commands):
            _ok(done, "A node could not be started")
    for number in range(1, count + 1):
        wait_engine(stack, number)


def wait_engine(stack: Stack, number: int) -> None:
    """Wait until the engine of a node answers.

    Raises:
        ClewError: it did not in time.
    """
    name = node_name(stack, number)
    wait_until(
        lambda: run(["docker", "exec", name, "docker", "version"], 10).code == 0,
        ENGINE_SECONDS, f"the engine of node {number}", f"docker logs {name}",
    )  # fmt: skip


def _network(stack: Stack) -> list[str]:
    """Make the nodes' network; return the addresses that they get, which stay the same when a node comes back.

    A fixed address needs a range that is named; the engine knows which one is free, and is asked first.
    """
    name = mark(stack)
    create = ["docker", "network", "create", f"--label={LABEL}={name}"]
    _ok(run([*create, name], 30), "The network of the nodes could not be made")
    ask = ["docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name]
    subnet = _ok(run(ask, 30), "The network of the nodes cannot be seen").strip()
    _ok(run(["docker", "network", "rm", name], 30), "The network of the nodes could not be made")
    _ok(run([*create, f"--subnet={subnet}", name], 30), "The network of the nodes could not be made")
    network = ipaddress.ip_network(subnet)
    return [str(network.network_address + 10 + number) for number in range(1, MOST_NODES + 1)]


def existing(stack: Stack) -> dict[int, bool]:
    """Return the numbers of the nodes that there are, and whether each runs.

    Raises:
        ClewError: no engine answers.
    """
    form = "{{.Names}} {{.State}}"
    listed = ["docker", "ps", "--all", "--filter", f"label={LABEL}={mark(stack)}", "--format", form]
    lines = _ok(run(listed, 30), "The nodes cannot be seen", "docker info").splitlines()
    found = dict(line.split() for line in lines)
    return {int(name.rpartition("-")[2]): state == "running" for name, state in sorted(found.items())}


def execute(stack: Stack, number: int, command: Sequence[str], seconds: float = 60) -> Result:
    """Run a command in a node."""
    return run(["docker", "exec", node_name(stack, number), *command], seconds, separate=True)


def kill(stack: Stack, number: int) -> None:
    """End a node at once, with everything that runs on it, as when a machine loses its power."""
    done = run(["docker", "kill", node_name(stack, number)], 30)
    _ok(done, f"Node {number} could not be killed", f"make swarm-restore NODE={number}")


def start(stack: Stack, number: int) -> None:
    """Start a node that was killed."""
    name = node_name(stack, number)
    _ok(run(["docker", "start", name], 60), f"Node {number} could not be started", f"docker logs {name}")
    wait_engine(stack, number)


def remove(stack: Stack) -> bool:
    """Remove all nodes with their disks and network; return whether there was anything.

    Raises:
        ClewError: something could not be removed.
    """
    only = ["--filter", f"label={LABEL}={mark(stack)}", "--quiet"]
    found = False
    for kind, listed, removal in (
        ("node", ["ps", "--all"], ["rm", "--force", "--volumes"]),
        ("volume", ["volume", "ls"], ["volume", "rm"]),
        ("network", ["network", "ls"], ["network", "rm"]),
    ):
        there = _ok(run(["docker", *listed, *only], 30), f"The {kind}s cannot be seen").split()
        if there:
            found = True
            _ok(run(["docker", *removal, *there], 120), f"A {kind} could not be removed")
    if found:
        _remove_cgroups(stack)
    return found


def _remove_cgroups(stack: Stack) -> None:
    """Remove the control groups that the nodes' containers had: they are this machine's, and nobody else does."""
    script = 'find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} +'
    sweep = ["docker", "run", "--rm", "--network=none", "--volume=/sys/fs/cgroup:/sys/fs/cgroup", NODE_IMAGE]
    run([*sweep, "sh", "-c", script, "sh", mark(stack)], 60)


def load(stack: Stack, numbers: Sequence[int], archive: Path, next_step: str = "make swarm-down") -> None:
    """Load images into nodes, all at the same time.

    Raises:
        ClewError: a node could not; it has `next_step`.
    """
    command = ["docker", "load", "--quiet", f"--input={SHARED}/{archive.name}"]
    with ThreadPoolExecutor(len(numbers)) as pool:
        for done in pool.map(lambda number: execute(stack, number, command, 300), numbers):
            _ok(done, "A node could not load the images", next_step)


def _ok(done: Result, problem: str, next_step: str = "make swarm-down") -> str:
    if done.code != 0:
        raise ClewError(f"{problem}: {tail(done.errors or done.output)}", next_step)
    return done.output


def logs(stack: Stack) -> list[str]:
    """Return what every container of every node has written, also those that are gone, and of a node that was killed.

    They are read from the nodes' disks: Swarm itself has no logs of a node that is down.
    """
    lines: list[str] = []
    for number, runs in existing(stack).items():
        reading = "cat {}/containers/*/*-json.log*"
        if runs:
            done = execute(stack, number, ["sh", "-c", reading.format("/var/lib/docker")], 120)
        else:
            disk = f"--volume={node_name(stack, number)}:/disk:ro"
            command = ["docker", "run", "--rm", "--network=none", disk, NODE_IMAGE, "sh", "-c", reading.format("/disk")]
            done = run(command, 120, separate=True)
        read = _ok(done, f"The logs of node {number} cannot be read", "make swarm-status")
        lines += [unwrapped(line) for line in read.splitlines()]
    return lines


def unwrapped(line: str) -> str:
    """Return a line of a log from the file in which the driver json-file keeps it."""
    try:
        return str(json.loads(line)["log"]).rstrip("\n")
    except (ValueError, KeyError, TypeError):  # cut off when the node was killed
        return ""
