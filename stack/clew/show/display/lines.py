"""Log lines that one search found."""

from __future__ import annotations

from collections.abc import Sequence

from clew.core.lines import Line
from clew.core.text import printable
from clew.show.display.base import TEMPLATES, Display

FIELDS = ("correlation_id", "request_id", "task_id", "duration_ms")
LINES = TEMPLATES.from_string("""\
<table>
{% for when, service, what in rows %}
<tr><td>{{ when }}</td><td>{{ service }}</td><td class="mono">{{ what|mark(wanted) }}</td></tr>
{% endfor %}
</table><div><b>{{ ending }}</b></div>
""")


class Lines(Display):
    """Log lines found by one search over all nine services, in time order; times count from the first."""

    def __init__(self, lines: Sequence[Line], wanted: str, note: str | None = None) -> None:
        self.lines, self.wanted, self.note = list(lines), wanted, note

    def rows(self) -> list[tuple[str, str, str]]:
        """Return each line's milliseconds after the first, its service, and its message with its fields."""
        start = self.lines[0]["ts"] if self.lines else 0
        rows = []
        for line in self.lines:
            fields = " ".join(f"{name}={line[name]}" for name in FIELDS if line.get(name) is not None)
            message = str(line["message"]).partition(": {")[0]
            what = printable(f"{message}  {fields}")
            rows.append((f"{(line['ts'] - start) * 1000:.1f} ms", printable(line["service"]), what))
        return rows

    def ending(self) -> str:
        services = len({line["service"] for line in self.lines})
        return (
            f"{len(self.lines)} lines with {printable(self.wanted)} in {services} of 9 services, found by one search."
        )

    def text(self) -> str:
        rows = [f"{when:>10}  {service:<18}  {what}" for when, service, what in self.rows()]
        return "\n".join([*rows, "", self.ending()])

    def html(self) -> str:
        return LINES.render(rows=self.rows(), wanted=printable(self.wanted), ending=self.ending())
