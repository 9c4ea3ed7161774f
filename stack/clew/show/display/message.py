"""The raw Celery message, opened."""

from __future__ import annotations

import json
from typing import Any

from clew.core.marks import BEADS
from clew.show import message as words
from clew.show.display.base import TEMPLATES, Display

MESSAGE = TEMPLATES.from_string("""\
<div>{{ title|mark(sent_id) }}</div>
{% for part, what, lines in parts %}
<details{{ ' open' if loop.first }}><summary><b>{{ part }}</b> · {{ what }}</summary>
{% for line in lines %}
<div class="mono {{ 'on' if sent_id in line }}">{{ line|mark(sent_id) }}</div>
{% endfor %}
</details>
{% endfor %}
<div class="words {{ kind }}">{{ place }}</div>
<div class="faint">{{ decoy }}</div>
""")


class MessageXray(Display):
    """A message in Redis: what it says, and where in it the ID is or would be. `message` is as
    `evidence.message.message` returns it."""

    def __init__(self, message: dict[str, Any], note: str | None = None) -> None:
        self.message, self.note = message, note

    def facts(self) -> dict[str, Any]:
        return {"id_at": self.message["id_at"]}

    def place(self) -> str:
        return f"{BEADS[words.verdict(self.message)]} {words.id_place(self.message)}"

    def parts(self) -> list[tuple[str, str, list[str]]]:
        """Return each part of the message, what it is, and its lines."""
        return [
            (part, what, json.dumps(words.shown(self.message, part), indent=2).splitlines())
            for part, what in words.PARTS.items()
        ]

    def text(self) -> str:
        lines = [words.title(self.message), ""]
        for part, _, shown in self.parts():
            lines += [part, *(f"  {line}" for line in shown)]
        return "\n".join([*lines, "", self.place(), words.DECOY])

    def html(self) -> str:
        return MESSAGE.render(
            title=words.title(self.message),
            sent_id=self.message["sent_id"],
            parts=self.parts(),
            kind="on" if self.message["id_at"] else "off",
            place=self.place(),
            decoy=words.DECOY,
        )
