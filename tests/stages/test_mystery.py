"""Mysteries on a stack, solved by a script that has what a learner has. `make mysteries` plays thirty, CI a few."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from mystery_solver import causes, repair, steps_of

from clew.lab.mystery import case as cases
from clew.lab.mystery import guess, probe
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, driver_of
from clew.stacks.refresh import refresh
from clew.stacks.stack import mystery_stack

PLAYED = [(7, 2), (11, 1), (3, 3), (10, 2), (2, 2)]
SEEDS = [(seed, 1 + seed % 3) for seed in range(101, 131)] if os.environ.get("CLEW_ALL_MYSTERIES") else PLAYED


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVER", "local")
        patch.setattr(cases, "SCORES", tmp_path_factory.mktemp("scores"))
        stack = mystery_stack()
        assert stack.name != "mystery", "not a learner's own: tests have ports of their own"
        cases.write([])
        lifecycle.up(stack, lambda text: None)
        try:
            yield driver_of(stack)
        finally:
            lifecycle.down(stack)
            shutil.rmtree(stack.folder, ignore_errors=True)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("seed", "level"), SEEDS)
def test_a_script_solves_it_from_the_logs(contract_table: list[str], running: Driver, seed: int, level: int) -> None:
    stack = mystery_stack()
    case = cases.Case(seed, level, None, "solver").save()
    cases.write(case.faults)
    refresh(stack, running, kill=True)
    found = causes(steps_of(stack, running))
    told = ", ".join(f"{cause} in {hop}" for hop, cause in found.items()) or "nothing is wrong"

    case, _ = guess.detect(case, bool(found))
    if found:
        case, _ = guess.localise(case, " ".join(found))
        case, _ = guess.cause(case, " ".join(found.values()))
        assert probe.probe(stack, running), "untouched, it must not count as fixed"
        repair(stack, found)
        case, left, _ = guess.fix(case, lambda text: None)
        assert not left
    assert case.ended is not None
    assert {fault.hop: fault.cause for fault in case.faults} == found
    assert case.score == 100
    assert cases.score_path(case).exists()
    contract_table.append(f"mystery {seed}, level {level}: {told:<60} solved, {case.score} points")


def test_a_stack_without_a_fault_passes_the_probe(running: Driver) -> None:
    cases.write([])
    refresh(mystery_stack(), running, kill=True)
    assert probe.probe(mystery_stack(), running) == []
