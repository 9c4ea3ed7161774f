"""OpenTelemetry on the nine services: the way with the most parts. The notebook and `make ways` run the other two."""

from __future__ import annotations

import pytest

from clew.lab.ways import compare, folder, trial
from clew.stacks.drivers import running_driver
from clew.stacks.stack import ways_stack


def test_opentelemetry_carries_the_id_and_loses_it_with_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVER", "local")
    with trial.stack_for_ways() as stack:
        driver = trial.switch(stack, folder.OPENTELEMETRY, None, print)
        seen = trial.trial(stack, driver, folder.OPENTELEMETRY)

    assert [check for check in compare.checks_of_trials([seen]) if not check.ok] == []
    assert seen.message == "headers.baggage"
    by_id = {span.span_id: span for span in seen.spans}
    run = next(span for span in seen.spans if span.name == "run/tasks.calculate_var")
    sent = by_id[str(run.parent_id)]
    assert (sent.name, by_id[str(sent.parent_id)].name) == ("apply_async/tasks.calculate_var", "POST /api/v1/tasks")
    assert running_driver(ways_stack()) is None
