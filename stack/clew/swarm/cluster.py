"""One Swarm, asked through any of its managers that answers: nodes that are containers here, or a Swarm of yours."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from clew import ladder
from clew.core.errors import ClewError
from clew.core.files import write_whole
from clew.core.processes import Result, run, tail
from clew.core.wait import wait_until
from clew.stacks.stack import BLOCKS, Stack, named, ports_of
from clew.swarm import nodes

NAME = "clew"  # of the stack in the Swarm
API, WORKER, NGINX, REDIS, FLOWER = "fastapi-server", "celery-worker", "nginx-loadbalancer", "redis-broker", "flower"
# Workers before servers: a new server may send what an old worker does not know, an old server never does.
IN_ORDER = (WORKER, API, NGINX, FLOWER)
READY_SECONDS = 180
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class SwarmStack(Stack):
    """The nine services in a Swarm: `address` is where the front door of `port` is."""

    address: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def prefix(self) -> str:
        return str((self.block - 10 * BLOCKS[self.kind]) // 100)

    @property
    def title(self) -> str:
        return f"Stage {self.number} in a Swarm"


@dataclass(frozen=True)
class Cluster:
    """A Swarm. `stack` has the stage's folder and this Swarm's ports; `yours` is one that DOCKER_HOST names.

    As a driver it can do what a trace needs.
    """

    stack: SwarmStack
    yours: bool

    name = "swarm"

    # --- asking

    def docker(self, *arguments: str, seconds: float = 60) -> Result:
        """Run a docker command with a manager that answers."""
        if self.yours:
            return run(["docker", *arguments], seconds, separate=True)
        done = Result(1, "", "No node runs.")
        found = nodes.existing(self.stack)
        for number in nodes.managers(len(found)):
            if found.get(number):
                done = nodes.execute(self.stack, number, ["docker", *arguments], seconds)
                if done.code == 0 or "Swarm" not in done.errors:
                    return done
        return done

    def ask(self, *arguments: str, seconds: float = 60) -> str:
        """Run a docker command; return what it prints.

        Raises:
            ClewError: it failed.
        """
        done = self.docker(*arguments, seconds=seconds)
        if done.code != 0:
            raise ClewError(f"docker {' '.join(arguments[:3])}: {tail(done.errors, 2)}", "make swarm-status")
        return done.output

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what a docker command lists, one dictionary for each line."""
        return [json.loads(line) for line in self.ask(*arguments, "--format", "{{json .}}").splitlines()]

    def replicas(self) -> dict[str, tuple[int, int]]:
        """Return how many tasks of each service run, and how many should."""
        return {row["Name"].removeprefix(f"{NAME}_"): counts(row["Replicas"]) for row in self.rows("service", "ls")}

    def tasks(self) -> list[dict[str, Any]]:
        """Return the tasks that should run: their `Name`, `Node` and `CurrentState`."""
        return self.rows("stack", "ps", NAME, "--filter", "desired-state=running")

    def leader(self) -> str | None:
        """Return the host name of the manager that leads, None while there is none."""
        done = self.docker("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}", seconds=10)
        return next((line.split()[0] for line in done.output.splitlines() if line.endswith("Leader")), None)

    # --- front doors

    def doors(self) -> list[str]:
        """Return the address of nginx on each node that runs, and on a Swarm of yours is not drained."""
        if self.yours:
            ids = self.ask("node", "ls", "--quiet").split()
            form = "{{.Status.State}} {{.Spec.Availability}} {{.Status.Addr}}"
            lines = [line.split() for line in self.ask("node", "inspect", "--format", form, *ids).splitlines()]
            return [f"http://{address}:80" for state, use, address in lines if state == "ready" and use != "drain"]
        return [self.door(number) for number, runs in nodes.existing(self.stack).items() if runs]

    def door(self, number: int) -> str:
        return f"http://127.0.0.1:{self.stack.block + number - 1}"

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        """Return the log lines of each task, by the name that it writes into them, as a driver does."""
        lines: list[str] = []
        for service in (NGINX, API, WORKER):
            age = [] if since is None else ["--since", f"{max(1, time.time() - since + 2):.0f}s"]
            lines += self.ask("service", "logs", "--raw", *age, f"{NAME}_{service}").splitlines()
        return by_service(lines)

    def started(self) -> dict[str, float]:
        """Return nothing: the code is in the image, so no file can have changed since."""
        return {}

    # --- waiting

    def wait_ready(self, services: Sequence[str], seconds: float = READY_SECONDS) -> float:
        """Wait until all tasks of these services run, which means that they are healthy; return how long that took.

        Raises:
            ClewError: they did not in time; it names them.
        """
        last: dict[str, tuple[int, int]] = {}

        def ready() -> bool:
            last.update(running(self.tasks(), self.replicas()))
            return all(last.get(name, (0, 1))[0] >= last.get(name, (0, 1))[1] for name in services)

        try:
            return wait_for(ready, "the Swarm", seconds)
        except ClewError as error:
            late = [f"{name} {last[name][0]}/{last[name][1]}" for name in services if name in last]
            told = ", ".join(late) or "no service was seen"
            raise ClewError(f"{error.message.rstrip('.')}: {told}.", error.next_step) from None

    def wait_answers(self, doors: Sequence[str], seconds: float = READY_SECONDS) -> float:
        """Wait until a task can be accepted at each of these front doors; return how long that took.

        Raises:
            ClewError: one could not in time.
        """
        waiting = list(doors)

        def all_answer() -> bool:
            waiting[:] = [door for door in waiting if not answers(door)]
            return not waiting

        try:
            return wait_for(all_answer, "the front doors", seconds)
        except ClewError as error:
            raise ClewError(f"{error.message.rstrip('.')} {', '.join(waiting)}.", error.next_step) from None


def wait_for(condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> float:
    """Wait until a condition is true that asks the Swarm; return how many seconds that took.

    Raises:
        ClewError: it was not true in time.
    """

    def is_so() -> bool:
        try:
            return condition()
        except ClewError:  # while managers elect a leader, nobody answers
            return False

    return wait_until(is_so, seconds, what, "make swarm-status", every=LOOK_SECONDS)


def counts(text: str) -> tuple[int, int]:
    """Return the two numbers of a text like `3/6` or `2/3 (max 1 per node)`."""
    running, _, wanted = text.split()[0].partition("/")
    return int(running), int(wanted)


def running(tasks: Sequence[Mapping[str, Any]], replicas: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return how many tasks of each service run that should, and how many should.

    What Swarm counts itself includes tasks that are about to end, on a node that is drained.
    """
    names = [str(one["Name"]).partition(".")[0] for one in tasks if str(one["CurrentState"]).startswith("Running")]
    return {name: (names.count(f"{NAME}_{name}"), wanted) for name, (_, wanted) in replicas.items()}


def by_service(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return log lines by the service that each of them names; a line that names none is left out."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        try:
            service = json.loads(line)["service"]
        except (ValueError, KeyError, TypeError):
            continue
        found[str(service)].append(line)
    return dict(found)


def answers(door: str) -> bool:
    """Tell whether nginx at this door reaches an API server that could have a task done now."""
    try:
        return httpx.get(f"{door}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


# --- what is noted between two commands: the stage, whose Swarm it is


def swarm_stack(stage: int, door: str | None = None) -> SwarmStack:
    """Return the stack of a stage in a Swarm, with its front door at `door`, else on the first node."""
    ports = ports_of("swarm")
    url = httpx.URL(door or f"http://127.0.0.1:{ports['nginx-loadbalancer']}")
    ports = {**ports, "nginx-loadbalancer": url.port or 80}
    return SwarmStack("swarm", named("swarm"), ladder.stage(stage).folder, ports, stage, address=url.host)


def note(stack: Stack, facts: Mapping[str, Any]) -> None:
    write_whole(stack.state / "swarm.json", json.dumps(facts))


def noted(stack: Stack) -> dict[str, Any]:
    try:
        return dict(json.loads((stack.state / "swarm.json").read_text()))
    except (OSError, ValueError):
        return {}


def current() -> Cluster:
    """Return the Swarm that `make swarm-up` left.

    Raises:
        ClewError: there is none.
    """
    facts = noted(swarm_stack(0))
    if not facts:
        raise ClewError("No Swarm of this checkout is up on these ports.", "make swarm-up")
    require_same_engine(facts)
    cluster = Cluster(swarm_stack(facts["stage"]), facts["yours"])
    return Cluster(swarm_stack(facts["stage"], *cluster.doors()[:1]), True) if cluster.yours else cluster


def repair(question: str) -> str:
    """Return what to type when `make swarm-status` itself failed: restore a node that is down, else ask docker."""
    stack = swarm_stack(0)
    if noted(stack).get("yours"):
        return f"docker {question}"
    found = nodes.existing(stack)
    if not found:
        return "make swarm-down"
    if down := [number for number, runs in found.items() if not runs]:
        return f"make swarm-restore NODE={down[0]}"
    return f"docker exec {nodes.node_name(stack, nodes.first_leader(len(found)))} docker {question}"


def require_same_engine(facts: Mapping[str, Any]) -> None:
    """Make sure that docker asks where the Swarm is that was noted: on this machine, or where DOCKER_HOST says.

    Raises:
        ClewError: it does not.
    """
    host = os.environ.get("DOCKER_HOST")
    if facts["yours"] and not host:
        raise ClewError("The Swarm that is up is one of yours, and DOCKER_HOST is not set.", "export DOCKER_HOST=…")
    if host and not facts["yours"]:
        raise ClewError(f"The Swarm that is up has its nodes here, and DOCKER_HOST is {host}.", "unset DOCKER_HOST")
