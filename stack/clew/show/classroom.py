"""Scores side by side: a table in the terminal, and a page that fetches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape
from rich.table import Table

from clew.core.marks import BEADS, COLOURS
from clew.show.mystery import QUESTIONS
from clew.show.terminal import out, shown

STEPS = tuple(QUESTIONS)
HEAD = ("who", "mystery", *STEPS, "hints", "time", "points")
WORDS = {True: f"{BEADS['kept']} right", False: f"{BEADS['missing']} wrong", None: "–"}
STYLE = f"""
:root {{ color-scheme: light dark }}
body {{ font: 18px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8888 }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums }}
.right {{ border-left: 4px solid {COLOURS["kept"]}; padding-left: .4rem }}
.wrong {{ border-left: 4px solid {COLOURS["missing"]}; padding-left: .4rem }}
.wide {{ overflow-x: auto }}
"""


def row(score: Any) -> list[str]:
    """Return the cells of one player."""
    minutes, seconds = divmod(round(score.seconds), 60)
    steps = [WORDS[score.steps[step]] for step in STEPS]
    mystery = f"{score.seed}, level {score.level}"
    if score.asked_for is not None:
        mystery += f", FAULTS={score.asked_for}"
    return [score.name, mystery, *steps, str(score.hints), f"{minutes}:{seconds:02}", str(score.score)]


def table(scores: Sequence[Any]) -> None:
    """Print one row for each score."""
    found = Table(box=None, pad_edge=False)
    for heading in HEAD:
        found.add_column(heading, justify="right" if heading in HEAD[-3:] else "left", no_wrap=True)
    for score in scores:
        found.add_row(*(shown(cell) for cell in row(score)))
    out.print(found)


def page(scores: Sequence[Any]) -> str:
    """Return the scores as an HTML page."""
    head = Markup("").join(Markup("<th{}>{}</th>").format(_number(n), name) for n, name in enumerate(HEAD))
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(_cell(score, n, text) for n, text in enumerate(row(score))))
        for score in scores
    )
    told = f"{len(scores)} {'player' if len(scores) == 1 else 'players'}"
    return str(
        Markup(
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            "<title>Mysteries solved</title><style>{}</style><main><h1>Mysteries solved</h1><p>{}</p>"
            '<div class="wide" tabindex="0" role="region" aria-label="Scores"><table><thead><tr>{}</tr></thead>'
            "<tbody>{}</tbody></table></div></main></html>"
        ).format(Markup(STYLE), escape(told), head, rows)  # noqa: S704 - a constant
    )


def _number(n: int) -> Markup:
    return Markup(' class="number"') if n >= len(HEAD) - 3 else Markup("")


def _cell(score: Any, n: int, text: str) -> Markup:
    if 2 <= n < 2 + len(STEPS):
        found = score.steps[STEPS[n - 2]]
        kind = {True: "right", False: "wrong", None: ""}[found]
        return Markup('<td><span class="{}">{}</span></td>').format(kind, text)
    return Markup("<td{}>{}</td>").format(_number(n), text)
