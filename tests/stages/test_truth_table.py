"""The truth table, on every stage, under every driver that the machine has; and all 32 mixes under one."""

from __future__ import annotations

import pytest

from clew import ladder
from clew.evidence.journey import lattice
from clew.evidence.trace import Run
from clew.evidence.two import BY_TASK, Two


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", ladder.STAGE_LIST, ids=lambda stage: stage.slug)
def test_a_stage_hands_the_id_on_as_far_as_it_is_fixed(runs: dict[int, Run], stage: ladder.Stage) -> None:
    run = runs[stage.number]

    assert run.verdicts == stage.verdicts
    assert run.status == "SUCCESS"
    assert run.sent_id == "MY-TRACE-123"
    assert not run.ambiguous


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(1, 6))
def test_a_fix_makes_the_difference_at_its_own_hop(runs: dict[int, Run], number: int) -> None:
    before, after = runs[number - 1].hops[number - 1], runs[number].hops[number - 1]

    assert before.hop == after.hop == ladder.changed_layer(number).hop
    assert before.verdict != "kept"
    assert after.verdict == "kept"
    assert after.id == "MY-TRACE-123"


@pytest.mark.timeout(600)
def test_each_fix_tells_more_lines_of_two_requests_at_once_apart(seen: dict[int, tuple[Run, Two]]) -> None:
    crossings = [two for _, two in seen.values()]

    assert [two.told_apart for two in crossings] == [0, 8, 10, 12, 18, 18]
    assert [sum(line.by == BY_TASK for line in two.lines) for two in crossings] == [0, 0, 0, 0, 4, 0]
    for two in crossings:  # by the task IDs that the clients got, which the lines were not told apart by
        owners = [two.task_ids.index(one.line["task_id"]) for one in two.lines if one.owner is not None and
                  "task_id" in one.line]  # fmt: skip
        assert owners == [one.owner for one in two.lines if one.owner is not None and "task_id" in one.line]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(5))
def test_the_trail_ends_at_a_line_of_the_layer_that_the_next_stage_fixes(runs: dict[int, Run], number: int) -> None:
    layer = ladder.changed_layer(number + 1)
    end = runs[number].ends_in

    assert end is not None
    assert end["hop"] == layer.hop
    assert end["file"] == f"stages/{ladder.stage(number).slug}/{layer.file}"
    line = (ladder.stage(number).folder / layer.file).read_text().splitlines()[end["line"] - 1]
    assert layer.anchor in line


@pytest.mark.timeout(600)
def test_the_last_stage_has_no_end_of_the_trail(runs: dict[int, Run]) -> None:
    assert runs[5].ends_in is None


@pytest.mark.timeout(600)
def test_hops_come_one_after_the_other(runs: dict[int, Run]) -> None:
    for run in runs.values():
        times = [hop.ms for hop in run.hops]
        assert None not in times
        assert times[1:] == sorted(times[1:])  # nginx writes whole milliseconds, so it may seem to come second
        assert times[0] <= times[1] + 2
        assert times[4] < 30_000


@pytest.mark.timeout(400)
def test_all_32_mixes_are_as_predicted_and_one_traces_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVER", "local")

    observed = {run.mix: run.verdicts for run in lattice(print)}

    assert observed == {mix: ladder.expected(mix) for mix in ladder.all_mixes()}
    assert [mix for mix, verdicts in observed.items() if set(verdicts) == {"kept"}] == ["11111"]
