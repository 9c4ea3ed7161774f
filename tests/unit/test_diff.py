"""Two runs compared: log lines without what differs between any two runs, and a run on each of two stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import client, diff
from clew.evidence.trace import Run
from clew.stacks import lifecycle
from clew.stacks.drivers.local import LocalDriver
from clew.stacks.lifecycle import Started
from clew.stacks.stack import Stack, stage_stack

KEPT, MISSING = ["kept"] * 5, ["replaced", *["missing"] * 4]
RunOf = Callable[..., Run]


def line(service: str, ts: float, message: str, **fields: Any) -> Line:
    return {"service": service, "ts": ts, "message": message, **fields}


def test_lines_are_shown_without_what_differs_between_any_two_runs(run_of: RunOf) -> None:
    lines = [
        line("redis-broker", 1.0, "Saved in 0.25s"),
        line("celery-worker-2", 1.1, "Task tasks.calculate_var[task-1] received"),
        line("celery-worker-2", 1.2, "VaR COMPLETE in 1.8e-05s", task_id="task-2", correlation_id=None, level="INFO"),
        line("fastapi-server-3", 1.3, "queued task-1", task_id="task-1", correlation_id="OTHER", queue="high"),
        line("fastapi-server-3", 1.0, "Request started", request_id="MINE", method="POST"),
        line("nginx-loadbalancer", 1.4, "POST", request_id="0f" * 16, status_code=201),
    ]
    run = run_of("11111", KEPT, sent_id="MINE", task_id="task-1", lines=lines)

    assert diff.normalised(run) == [
        "nginx    POST request_id=<other id> status_code=201",
        "fastapi  Request started request_id=MINE",
        "fastapi  queued <task id> correlation_id=<other id> task_id=<task id> queue=high",
        "celery   VaR COMPLETE in <n> correlation_id=– task_id=<other task id>",
        "redis    Saved in <n>",
    ]


def test_the_log_diff_has_every_line(run_of: RunOf) -> None:
    shared = [line("fastapi-server-1", float(number), f"step {number}") for number in range(20)]
    before = run_of("11110", KEPT, folder="stages/four", lines=[*shared, line("celery-worker-1", 21.0, "START")])
    after = run_of("11111", KEPT, folder="stages/five", lines=[*shared, line("celery-worker-1", 21.0, "START MINE")])

    found = diff.log_diff(before, after)

    assert found[:2] == ["--- stages/four", "+++ stages/five"]
    assert found[3:] == [*(f" fastapi  step {n}" for n in range(20)), "-celery   START", "+celery   START MINE"]
    assert diff.log_diff(before, before) == []


@pytest.fixture
def runs(run_of: RunOf, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of stages that are not started: each run, with its ID and body."""
    asked: list[tuple[Any, ...]] = []

    def run_on(number: int, correlation_id: str, body: Any, say: Any) -> Run:
        asked.append((number, correlation_id, body, say))
        mix = ladder.stage(number).mix
        return run_of(mix, list(ladder.expected(mix)), sent_id=correlation_id)

    monkeypatch.setattr(diff, "run_on", run_on)
    return asked


def test_a_stage_is_compared_with_the_one_before(runs: list[tuple[Any, ...]]) -> None:
    body = {"a": 1}

    found = diff.stage_diff(4, "MINE", body, print)

    assert runs == [(3, "MINE", body, print), (4, "MINE", body, print)]
    assert (found.before.stage, found.after.stage) == (3, 4)
    assert found.source == ladder.source_diff(4)
    assert found.logs == diff.log_diff(found.before, found.after)
    assert found.to_json() == {
        "stage": 4,
        "source": found.source,
        "logs": found.logs,
        "before": found.before.to_json(),
        "after": found.after.to_json(),
    }


def test_without_an_id_the_usual_one_is_sent(runs: list[tuple[Any, ...]]) -> None:
    diff.stage_diff(1, None, None, print)

    assert [(number, sent, body) for number, sent, body, _ in runs] == [
        (0, "MY-TRACE-123", None),
        (1, "MY-TRACE-123", None),
    ]


def test_the_first_stage_has_none_before_it(runs: list[tuple[Any, ...]]) -> None:
    with pytest.raises(ClewError) as failed:
        diff.stage_diff(0, "MINE", None, print)

    assert failed.value.message == "Stage 0 is the first: there is no stage to compare it with."
    assert failed.value.next_step == "make stage-1 diff"
    assert runs == []


@pytest.mark.parametrize("edited", [2, 3])
def test_nothing_is_compared_while_a_file_of_either_stage_is_edited(
    edited: int, runs: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {ladder.stage(edited): ["stages/a.py", "stages/b.py"]}
    monkeypatch.setattr(ladder, "edited_files", lambda stage: files.get(stage, []))

    with pytest.raises(ClewError) as failed:
        diff.stage_diff(3, "MINE", None, print)

    told = "stages/a.py, stages/b.py: edited, so what stage 3 changes cannot be told apart from your changes."
    assert failed.value.message == told
    assert failed.value.next_step == "git checkout stages/a.py stages/b.py"
    assert runs == []


@pytest.mark.parametrize("was_down", [True, False])
def test_a_stage_that_was_down_is_warmed_up_first(
    was_down: bool, run_of: RunOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, said = stage_stack(2), []
    driver, run = LocalDriver(stack), run_of("11000", MISSING)
    asked: list[tuple[Any, ...]] = []

    @contextmanager
    def borrowed(stack: Stack, say: Any) -> Iterator[Started]:
        asked.append(("borrowed", stack.number, say))
        yield Started(driver, 1.0, was_down)
        asked.append(("given back",))

    def trace(stack: Stack, *arguments: Any) -> Run:
        asked.append(("trace", stack.number, *arguments))
        return replace(run)

    monkeypatch.setattr(lifecycle, "borrowed", borrowed)
    monkeypatch.setattr(client, "warm_up", lambda stack: asked.append(("warm up", stack.number)))
    monkeypatch.setattr(diff, "trace", trace)

    assert diff.run_on(2, "MINE", {"a": 1}, said.append) == run

    warm_up = [("warm up", 2)] if was_down else []
    expected = [("borrowed", 2, said.append), *warm_up, ("trace", 2, "MINE", {"a": 1}, driver), ("given back",)]
    assert asked == expected
    assert said == ["Sending the request to Stage 2."]
