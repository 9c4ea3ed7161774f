"""Sentences, tables of plain text, and the matrix of many runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clew import ladder
from clew.core.marks import BEADS
from clew.evidence.trace import Run
from clew.show.display.base import TEMPLATES, Display
from clew.show.trail import short_name

WORDS = TEMPLATES.from_string('<div class="words {{ kind }}">{{ text|prose }}</div>')
TABLE = TEMPLATES.from_string("""\
<table class="rows"><tr>{% for cell in head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{%- if ending %}<div><b>{{ ending }}</b></div>{% endif %}
""")


class Words(Display):
    """A few sentences; `ok` gives them their shape: ● when something holds, ○ when it does not yet."""

    def __init__(self, words: str, ok: bool | None = None, note: str | None = None) -> None:
        self.words, self.ok, self.note = words, ok, note

    def text(self) -> str:
        return self.words if self.ok is None else f"{BEADS['kept' if self.ok else 'missing']} {self.words}"

    def html(self) -> str:
        return WORDS.render(kind={None: "", True: "on", False: "off"}[self.ok], text=self.text())


class Table(Display):
    """Rows of plain text below a head, and a sentence below them; each row has as many cells as the head."""

    def __init__(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        note: str | None = None,
        facts: dict[str, Any] | None = None,
        ending: str = "",
    ) -> None:
        self.head, self.rows, self.note = list(head), [list(row) for row in rows], note
        self.ending, self._facts = ending, facts or {}

    def facts(self) -> dict[str, Any]:
        return self._facts

    def text(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        shown = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([*shown, "", self.ending] if self.ending else shown)

    def html(self) -> str:
        return TABLE.render(head=self.head, rows=self.rows, ending=self.ending)


class Matrix(Table):
    """Many runs, a row each: what was observed, and in how many that is what the rule predicts."""

    def __init__(self, runs: Sequence[Run], note: str | None = None) -> None:
        self.runs = list(runs)
        predicted = sum(run.as_predicted for run in runs)
        whole = sum(set(run.verdicts) == {"kept"} for run in runs)
        super().__init__(
            ["", *ladder.HOPS],
            [[short_name(run), *(f"{BEADS[verdict]} {verdict}" for verdict in run.verdicts)] for run in runs],
            note,
            {"as_predicted": predicted, "of": len(self.runs)},
            f"{predicted} of {len(self.runs)} as predicted by the rule; the ID reaches the worker in {whole}.",
        )
