"""A stack that is up under each driver, for the one suite that every driver must pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from up import Up, require

from clew.core.errors import ClewError
from clew.stacks import lifecycle, ready
from clew.stacks.services import SERVICES
from clew.stacks.stack import stage_stack


@pytest.fixture(scope="module", params=["local", "docker"])
def stack_up(request: pytest.FixtureRequest) -> Iterator[Up]:
    """Bring a stack up once for the whole suite; at its end, `down` must leave nothing."""
    require(request.param)
    stack = stage_stack(4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVER", request.param)
        driver, _ = lifecycle.up(stack, print)
    assert driver.name == request.param
    try:
        yield Up(stack, driver)
    finally:
        lifecycle.down(stack)
    assert driver.status() == dict.fromkeys(SERVICES, "absent")
    assert driver.logs() == {service: [] for service in SERVICES}
    for verb in (driver.kill, driver.stop, driver.start, driver.pause, driver.unpause):
        with pytest.raises(ClewError):
            verb(SERVICES[0])
    driver.down()  # again: there is nothing to do


@pytest.fixture
def up(stack_up: Up) -> Up:
    """Give a test the stack with all nine services ready, whatever the test before it did."""
    if set(stack_up.driver.status().values()) != {"running"}:
        stack_up.driver.up()
    ready.wait_ready(stack_up.stack)
    return stack_up
