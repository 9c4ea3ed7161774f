"""The journey and the lattice without services: in which order what is asked of the stack, and what is saved."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clew import ladder
from clew.core.errors import ClewError
from clew.evidence import client, journey
from clew.evidence.trace import Run
from clew.stacks import lifecycle
from clew.stacks.stack import Stack, lattice_stack

RunOf = Callable[..., Run]
Asked = list[tuple[Any, ...]]


def test_the_journey_sends_one_request_to_each_stage(run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Asked = []

    def run_on(number: int, *arguments: Any) -> Run:
        asked.append((number, *arguments))
        return run_of(ladder.stage(number).mix, list(ladder.stage(number).verdicts))

    monkeypatch.setattr(journey, "run_on", run_on)

    found = list(journey.journey(print))

    assert [run.stage for run in found] == [0, 1, 2, 3, 4, 5]
    assert asked == [(number, "MY-TRACE-123", client.seeded_body(), print) for number in range(6)]


class Lattice:
    """A stack of the mixes that is never started; notes what it is asked."""

    def __init__(self, run_of: RunOf) -> None:
        self.asked: Asked = []
        self.mix = ""
        self.run_of = run_of
        self.fails_at = ""

    @contextmanager
    def reserved(self, stack: Stack) -> Iterator[None]:
        self.asked.append(("reserved", stack.name))
        yield
        self.asked.append(("released",))

    def write_mix(self, mix: str, folder: Path) -> None:
        assert folder == lattice_stack().folder
        self.mix = mix

    def up(self, stack: Stack, say: Any) -> tuple[str, float]:
        self.asked.append(("up", stack.name, say, self.mix))
        return "driver", 1.0

    def down(self, stack: Stack) -> None:
        self.asked.append(("down", stack.name))

    def refresh(self, stack: Stack, driver: str) -> None:
        assert (stack.name, driver) == (lattice_stack().name, "driver")
        self.asked.append(("refresh", self.mix))

    def warm_up(self, stack: Stack) -> None:
        self.asked.append(("warm up", stack.name, self.mix))

    def trace(self, stack: Stack, sent_id: str, body: Any, driver: str) -> Run:
        assert (stack.name, sent_id, body, driver) == (
            lattice_stack().name,
            "MY-TRACE-123",
            client.seeded_body(),
            "driver",
        )
        if self.mix == self.fails_at:
            raise ClewError("It did not answer.", "make lattice")
        return self.run_of(self.mix, list(ladder.expected(self.mix)), stage=None)

    def all(self, kind: str) -> Asked:
        return [what[1:] for what in self.asked if what[0] == kind]


@pytest.fixture
def stack(run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> Lattice:
    fake = Lattice(run_of)
    for name in ("reserved", "up", "down"):
        monkeypatch.setattr(lifecycle, name, getattr(fake, name))
    monkeypatch.setattr(client, "warm_up", fake.warm_up)
    monkeypatch.setattr(journey, "refresh", fake.refresh)
    monkeypatch.setattr(journey, "trace", fake.trace)
    write = ladder.write_mix
    monkeypatch.setattr(ladder, "write_mix", lambda mix, folder, *digit: (
        fake.write_mix(mix, folder) if folder == lattice_stack().folder else write(mix, folder, *digit)
    ))  # fmt: skip
    return fake


def test_the_lattice_runs_each_mix_on_one_stack_that_is_down_before_and_after(stack: Lattice) -> None:
    name, mixes = lattice_stack().name, ladder.all_mixes()

    assert [run.mix for run in journey.lattice(print)] == mixes

    assert stack.asked[:3] == [("reserved", name), ("down", name), ("up", name, print, mixes[0])]
    assert stack.asked[-2:] == [("down", name), ("released",)]
    assert stack.all("refresh") == [(mix,) for mix in mixes]
    assert len(stack.all("up")) == 1


def test_the_lattice_warms_up_what_was_restarted_and_not_what_was_only_reloaded(stack: Lattice) -> None:
    list(journey.lattice(print))

    mixes = ladder.all_mixes()
    restarted = [after for before, after in itertools.pairwise(mixes) if before[1:] != after[1:]]
    assert [mix for _, mix in stack.all("warm up")] == [mixes[0], *restarted]
    assert len(restarted) == 15


def test_the_lattice_takes_its_stack_down_when_a_mix_fails(stack: Lattice) -> None:
    stack.fails_at = ladder.all_mixes()[2]

    with pytest.raises(ClewError, match="It did not answer"):
        list(journey.lattice(print))

    assert stack.asked[-1] == ("down", lattice_stack().name)


@pytest.fixture
def runs(run_of: RunOf) -> list[Run]:
    wrong = ["kept", "replaced", "unknown", "missing", "missing"]
    return [run_of("11100", ["kept"] * 3 + ["missing"] * 2), run_of("11000", wrong)]


def test_the_table_has_a_row_a_run_with_the_time_of_each_hop(runs: list[Run]) -> None:
    assert journey.matrix_markdown(runs, lambda run: f"mix {run.mix}") == (
        "| | nginx | routes | task-service | queue-service | worker | as predicted |\n"
        "|---|---|---|---|---|---|---|\n"
        "| mix 11100 | kept (≈1 ms) | kept (3.1 ms) | kept (3.3 ms) | missing (3.6 ms) | missing (9.8 ms) | yes |\n"
        "| mix 11000 | kept (≈1 ms) | replaced (3.1 ms) | unknown | missing (3.6 ms) | missing (9.8 ms) | NO |\n"
    )


def test_what_is_saved_is_the_table_and_the_runs(
    runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journey, "STATE", tmp_path / "state/of a test")
    before = datetime.now(UTC).replace(microsecond=0)

    path = journey.save("lattice", runs, lambda run: run.mix)

    assert path == tmp_path / "state/of a test/lattice.md"
    assert path.read_text() == journey.matrix_markdown(runs, lambda run: run.mix)
    found = json.loads(path.with_suffix(".json").read_text())
    assert found.pop("as_predicted") == 1
    assert [Run.from_json(run) for run in found.pop("runs")] == runs
    made_at = datetime.fromisoformat(found.pop("made_at"))
    assert before <= made_at <= datetime.now(UTC)
    assert made_at.microsecond == 0
    assert found == {}
    journey.save("lattice", runs[:1], lambda run: run.mix)  # again: the folder is there
    assert path.read_text().count("\n") == 3


def test_runs_that_differ_from_the_table_are_named(runs: list[Run]) -> None:
    journey.require_predicted(runs[:1], "lattice")

    with pytest.raises(ClewError) as failed:
        journey.require_predicted([*runs, runs[1]], "lattice")

    wrong = "11000: kept, replaced, unknown, missing, missing"
    assert failed.value.message == f"Not as predicted: {wrong}; {wrong}."
    assert failed.value.next_step == "make lattice"
