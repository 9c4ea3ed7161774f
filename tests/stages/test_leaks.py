"""The leak lab on a stack: what is passed by hand never leaks, and the lab notices what does."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from clew.cli import cli
from clew.lab.leaks.judge import ANOTHERS, OWN
from clew.stacks.drivers import running_driver
from clew.stacks.stack import leaks_stack


@pytest.mark.timeout(180)
def test_fifty_requests_at_once_in_three_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVER", "local")
    result = CliRunner().invoke(cli, ["leaks", "--json"], catch_exceptions=False)

    by_hand, not_cleared, cleared = json.loads(result.stdout)["trials"]
    assert set(by_hand["lines"]) == {OWN} and by_hand["astray"] == []
    assert not_cleared["lines"][ANOTHERS] > 0
    assert ANOTHERS not in cleared["lines"] and cleared["astray"] == []
    assert running_driver(leaks_stack()) is None
