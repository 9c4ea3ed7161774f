"""Plots of what was seen while many requests ran, with the same in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from clew.drills.model import Check
from clew.show.display.base import TEMPLATES, Display
from clew.show.display.tables import Table

PLOT = TEMPLATES.from_string("""\
<div>{{ picture }}</div>
{{ table|safe }}
{% for line in words %}
<div><b>{{ line }}</b></div>
{% endfor %}
""")


class Plot(Display):
    """A picture, a table of its numbers, and sentences. `checks` say what the notebook's text relies on.

    `measured` in the facts says that its numbers differ from run to run.
    """

    def __init__(
        self, picture: Markup, table: Table, words: Sequence[str], checks: Sequence[Check], note: str | None = None
    ) -> None:
        self.picture, self.table, self.words, self.checks, self.note = picture, table, list(words), list(checks), note

    def facts(self) -> dict[str, Any]:
        return {"checks": [vars(check) for check in self.checks], "measured": True}

    def text(self) -> str:
        return "\n".join([self.table.text(), "", *self.words])

    def html(self) -> str:
        return PLOT.render(picture=self.picture, table=self.table.html(), words=self.words)
