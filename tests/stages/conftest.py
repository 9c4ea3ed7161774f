"""Running stages: each is up once for all the tests of this folder that need it, and down before those of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytest_docker.plugin import get_docker_services
from up import Up, require

from clew import ladder
from clew.evidence.trace import Run, trace
from clew.evidence.two import Two, two
from clew.stacks import lifecycle
from clew.stacks.drivers.docker import DockerDriver
from clew.stacks.stack import checkout_mark, port_prefix, stage_stack

SENT_ID = "MY-TRACE-123"
CONTRACT = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def contract_table(pytestconfig: pytest.Config) -> list[str]:
    """The rows of what exercises and mysteries did, printed when all tests have run."""
    return pytestconfig.stash.setdefault(CONTRACT, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the contract of exercises and mysteries."""
    rows = config.stash.get(CONTRACT, [])
    if rows:
        terminalreporter.section("the contract of exercises and mysteries")
        for row in rows:
            terminalreporter.write_line(row)


def local_stage(number: int) -> Iterator[Up]:
    """Have a stage up; one that other tests have up stays up."""
    stack = stage_stack(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVER", "local")
        with lifecycle.borrowed(stack, print) as started:
            patch.undo()
            yield Up(stack, started.driver)


def docker_stage(number: int) -> Iterator[Up]:
    """Run a stage by nothing but Compose in its own folder, as someone without Clew's tool would.

    Its ports are the next ones: the same stage may be up with the local driver.
    """
    ports = str(int(port_prefix()) + 1)
    stack = stage_stack(number, prefix=ports)
    driver = DockerDriver(stack)
    driver.prepare(print)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEW_PORTS", ports)
        with get_docker_services(
            "docker compose",
            [str(stack.folder / "compose.yaml")],
            f"by-hand-{checkout_mark()}-{stack.name}",
            ["up --wait --wait-timeout 120"],
            ["down --volumes --timeout 5"],
        ):
            yield Up(stack, driver)


STARTERS: dict[str, Callable[[int], Iterator[Up]]] = {"local": local_stage, "docker": docker_stage}


@pytest.fixture(scope="package", params=list(STARTERS))
def seen(request: pytest.FixtureRequest) -> dict[int, tuple[Run, Two]]:
    """The same request traced on all six stages, one stage up at a time; and two at once."""
    require(request.param)
    found = {}
    for stage in ladder.STAGE_LIST:
        for up in STARTERS[request.param](stage.number):
            found[stage.number] = (trace(up.stack, SENT_ID, driver=up.driver), two(up.stack, driver=up.driver))
    return found


@pytest.fixture(scope="package")
def runs(seen: dict[int, tuple[Run, Two]]) -> dict[int, Run]:
    return {number: run for number, (run, _) in seen.items()}


@pytest.fixture(scope="package")
def stage_5() -> Iterator[Up]:
    yield from local_stage(5)


@pytest.fixture(scope="package")
def stage_0() -> Iterator[Up]:
    yield from local_stage(0)
