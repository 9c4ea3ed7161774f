"""Running stages: each is up once for all the tests that need it, under a driver that the machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_docker.plugin import get_docker_services
from up import Up, require

from clew import ladder
from clew.evidence.trace import Run, trace
from clew.stacks import lifecycle
from clew.stacks.drivers.docker import DockerDriver
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.stack import stage_stack

SENT_ID = "MY-TRACE-123"


def local_stage(number: int) -> Iterator[Up]:
    stack = stage_stack(number)
    driver = LocalDriver(stack)
    driver.prepare(print)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DRIVER", "local")
            lifecycle.up(stack, print)
        yield Up(stack, driver)
    finally:
        lifecycle.down(stack)


def docker_stage(number: int) -> Iterator[Up]:
    """Run a stage by nothing but Compose in its own folder, as someone without Clew's tool would."""
    stack = stage_stack(number)
    driver = DockerDriver(stack)
    driver.prepare(print)
    with get_docker_services(
        "docker compose",
        [str(stack.folder / "compose.yaml")],
        f"by-hand-{stack.name}",
        ["up --wait --wait-timeout 120"],
        ["down --volumes --timeout 5"],
    ):
        yield Up(stack, driver)


STARTERS: dict[str, Callable[[int], Iterator[Up]]] = {"local": local_stage, "docker": docker_stage}


@pytest.fixture(scope="session", params=list(STARTERS))
def runs(request: pytest.FixtureRequest) -> dict[int, Run]:
    """The same request traced on all six stages, one stage up at a time."""
    require(request.param)
    found = {}
    for stage in ladder.STAGE_LIST:
        for up in STARTERS[request.param](stage.number):
            found[stage.number] = trace(up.stack, SENT_ID, driver=up.driver)
    return found


@pytest.fixture(scope="module")
def stage_5() -> Iterator[Up]:
    yield from local_stage(5)


@pytest.fixture(scope="module")
def stage_0() -> Iterator[Up]:
    yield from local_stage(0)
