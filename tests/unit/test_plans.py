"""The instructors' plans: what they name exists, and minutes add up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.site import plans

TARGETS = set(re.findall(r"^([a-z][a-z-]*|try-%|stage-%):", (ROOT / "Makefile").read_text(), re.MULTILINE))
VERBS = set(re.findall(r"^VERBS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split())


@pytest.mark.parametrize("plan", plans.plans(), ids=lambda plan: plan.key)
def test_what_a_plan_names_exists(plan: plans.Plan) -> None:
    assert sum(step.minutes for step in plan.steps) == plan.minutes
    for step in plan.steps:
        for command in step.do:
            program, *words = command.split()
            assert program == "make"
            targets = [re.sub(r"^(try|stage)-\d$", r"\1-%", word) for word in words if "=" not in word]
            assert targets and set(targets) <= TARGETS | VERBS, command
        if step.notebook:
            assert (ROOT / "notebooks" / f"{step.notebook}.ipynb").is_file()
        assert step.note and (step.ask or not step.do)


def test_a_plan_that_does_not_add_up_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = plans.DATA.read_text().replace("minutes = 90", "minutes = 91")
    path = tmp_path / "plans.toml"
    path.write_text(broken)
    monkeypatch.setattr(plans, "DATA", path)
    with pytest.raises(ClewError, match="90 minutes take 90 minutes"):
        plans.plans()


def test_a_table_has_a_row_for_each_step_and_links_notebooks() -> None:
    text = plans.table("half-day", "notebooks/{}.md")
    assert text.count("\n") == 1 + len(plans.plans()[1].steps)
    assert "[notebook 7](notebooks/07-receivers-first.md)" in text
    assert "195–210" in text
    with pytest.raises(ClewError, match="no plan 'evening'"):
        plans.table("evening", "{}")
