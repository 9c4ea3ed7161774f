"""What differs: the logs of two runs, two versions of a file; and the lines of a file that matter."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from clew.evidence.diff import normalised
from clew.evidence.trace import Run
from clew.show.display.base import TEMPLATES, Display

LOG_DIFF = TEMPLATES.from_string("""\
<div class="two"><div><b>{{ before.folder }}</b></div><div><b>{{ after.folder }}</b></div>
{% for kind, sign, text, sent_id in cells %}
<div class="mono {{ kind }}">{{ sign }} {{ text|mark(sent_id) }}</div>
{% endfor %}
</div>
""")
UNIFIED = TEMPLATES.from_string("""\
{% for kind, line in lines %}
<div class="mono {{ kind }}">{{ line|mark(sent_id) }}</div>
{% endfor %}
""")
BESIDE = TEMPLATES.from_string("""\
<div class="beside">{% for title, part in parts %}<div><b>{{ title }}</b>{{ part.html()|safe }}</div>{% endfor %}</div>
""")
SOURCE = TEMPLATES.from_string("""\
<div><b>{{ path }}</b></div>
{% for kind, line in lines %}
<div class="mono {{ kind }}">{{ line }}</div>
{% endfor %}
<p>{{ words|prose }}</p>
""")


class UnifiedDiff(Display):
    """A unified diff, of source or of logs; `sent_id` is marked in it."""

    def __init__(self, lines: Sequence[str], sent_id: str = "", note: str | None = None) -> None:
        self.lines, self.sent_id, self.note = list(lines), sent_id, note

    def text(self) -> str:
        return "\n".join(self.lines)

    def html(self) -> str:
        lines = [(kind_of(line), line or " ") for line in self.lines]
        return UNIFIED.render(lines=lines, sent_id=self.sent_id)


def kind_of(line: str) -> str:
    """Return the CSS class of a line of a unified diff."""
    if line.startswith(("+++", "---", "@@")):
        return "faint"
    return {"+": "on", "-": "off"}.get(line[:1], "")


class LogDiff(Display):
    """The normalised logs of two runs side by side: only what a change of a layer changed differs."""

    def __init__(self, before: Run, after: Run, note: str | None = None) -> None:
        self.before, self.after, self.note = before, after, note

    def facts(self) -> dict[str, Any]:
        return {"changed": sum(old != new for old, new in self.rows())}

    def rows(self) -> list[tuple[str, str]]:
        """Return pairs of lines, before and after; an empty one where there is no counterpart."""
        old, new = normalised(self.before), normalised(self.after)
        rows: list[tuple[str, str]] = []
        for _, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            length = max(b - a, d - c)
            rows += zip((old[a:b] + [""] * length)[:length], (new[c:d] + [""] * length)[:length], strict=True)
        return rows

    def text(self) -> str:
        lines = [f"--- {self.before.folder}", f"+++ {self.after.folder}"]
        for old, new in self.rows():
            lines += [f"  {old}"] if old == new else [f"- {old}"] * bool(old) + [f"+ {new}"] * bool(new)
        return "\n".join(lines)

    def unified(self) -> UnifiedDiff:
        """Return the same in one column, for half the width."""
        return UnifiedDiff(self.text().splitlines(), self.after.sent_id, self.note)

    def html(self) -> str:
        cells = []
        for old, new in self.rows():
            for text, kind, sign, run in ((old, "off", "−", self.before), (new, "on", "+", self.after)):
                cells.append((kind, sign, text, run.sent_id) if text and old != new else ("", " ", text, run.sent_id))
        return LOG_DIFF.render(before=self.before, after=self.after, cells=cells)


class Beside(Display):
    """Two displays side by side; one below the other where it is narrow, and in text."""

    def __init__(self, left: Display, right: Display, titles: tuple[str, str]) -> None:
        self.left, self.right, self.titles = left, right, titles
        self.note = left.note or right.note

    def facts(self) -> dict[str, Any]:
        left, right = self.left.facts(), self.right.facts()
        checks = [*left.get("checks", []), *right.get("checks", [])]
        return {**left, **right, **({"checks": checks} if checks else {})}

    def text(self) -> str:
        parts = zip(self.titles, (self.left, self.right), strict=True)
        return "\n\n".join(f"{title}\n\n{part.text()}" for title, part in parts)

    def html(self) -> str:
        return BESIDE.render(parts=list(zip(self.titles, (self.left, self.right), strict=True)))


class Source(Display):
    """Lines of a file from number `first` on, those in `marked` marked; `fixed`: whether these pass the ID on."""

    def __init__(
        self, path: str, first: int, lines: Sequence[str], marked: Iterable[int], fixed: bool, words: str
    ) -> None:
        self.path, self.first, self.lines, self.marked = path, first, list(lines), set(marked)
        self.kind, self.words = "on" if fixed else "off", words

    def numbered(self) -> list[tuple[str, str]]:
        """Return each line's CSS class, and the line with its mark and number."""
        return [
            (
                self.kind if number in self.marked else "",
                f"{'▶' if number in self.marked else ' '} {number:3}  {line}".rstrip(),
            )
            for number, line in enumerate(self.lines, self.first)
        ]

    def text(self) -> str:
        return "\n".join([self.path, "", *(line for _, line in self.numbered()), "", self.words])

    def html(self) -> str:
        return SOURCE.render(path=self.path, lines=self.numbered(), words=self.words)
