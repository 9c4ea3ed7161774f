"""The plans of lessons, from `plans.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from clew.core.errors import ClewError

DATA = Path(__file__).with_name("plans.toml")


@dataclass(frozen=True)
class Step:
    """A part of a lesson: what learners do and are asked, which wrong answers to expect, and a note for the teacher."""

    minutes: int
    goal: str
    do: tuple[str, ...]
    ask: str
    wrong: str
    note: str
    notebook: str | None = None


@dataclass(frozen=True)
class Plan:
    """A lesson of so many minutes, which are the sum of its steps'."""

    key: str
    title: str
    minutes: int
    steps: tuple[Step, ...]


def plans() -> list[Plan]:
    """Return all plans.

    Raises:
        ClewError: a plan's steps do not add up to its minutes.
    """
    found = []
    for plan in tomllib.loads(DATA.read_text())["plans"]:
        steps = tuple(Step(**{**step, "do": tuple(step["do"])}) for step in plan["steps"])
        total = sum(step.minutes for step in steps)
        if total != plan["minutes"]:
            raise ClewError(f"The steps of {plan['title']} take {total} minutes.", f"correct {DATA.name}")
        found.append(Plan(plan["key"], plan["title"], plan["minutes"], steps))
    return found


def table(key: str, notebook_url: str) -> str:
    """Return a plan as a table in Markdown; `notebook_url` is a notebook's address with `{}` for its name.

    Raises:
        ClewError: there is no such plan.
    """
    known = {plan.key: plan for plan in plans()}
    if key not in known:
        raise ClewError(f"There is no plan {key!r}.", f"choose one of {', '.join(known)}")
    rows = ["| minutes | goal, and what to do | ask first | expect to hear | note |", "|---|---|---|---|---|"]
    begin = 0
    for step in known[key].steps:
        when = f"{begin}–{begin + step.minutes}"
        what = [f"`{command}`" for command in step.do]
        if step.notebook:
            what.append(f"[notebook {int(step.notebook[:2])}]({notebook_url.format(step.notebook)})")
        cells = (when, "<br>".join([f"**{step.goal}**", *what]), step.ask, step.wrong, step.note)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        begin += step.minutes
    return "\n".join(rows)
