"""One run: its five hops as a thread with beads, and where its time went."""

from __future__ import annotations

from typing import Any

from clew.evidence import timeline
from clew.evidence.trace import Run
from clew.show import svg
from clew.show.display.base import TEMPLATES, Display
from clew.show.terminal import hop_rows
from clew.show.trail import present

TRAIL = TEMPLATES.from_string("""\
<div>{{ words.title|mark(words.sent_id) }}</div>
<div class="wide"><table class="hops">
<tr><td colspan="6" class="picture">{{ picture }}</td></tr>
<tr><th>client</th>{% for hop in words.hops %}<th>{{ hop.hop }}</th>{% endfor %}</tr>
<tr><td>sent</td>{% for hop in words.hops %}<td>{{ hop.bead }} {{ hop.verdict }}</td>{% endfor %}</tr>
<tr>{% for id in ids %}<td>{{ id|mark(words.sent_id) }}</td>{% endfor %}</tr>
<tr><td>0 ms</td>{% for hop in words.hops %}<td>{{ hop.time }}</td>{% endfor %}</tr>
<tr><td></td>{% for hop in words.hops %}<td>{{ hop.where }}</td>{% endfor %}</tr>
</table></div>
<div>{{ words.result }}</div>
{% for note in words.notes %}
<div>{{ note }}</div>
{% endfor %}
<div><b>{{ words.ending|mark(words.sent_id) }}</b></div>
""")
TIMELINE = TEMPLATES.from_string("""\
<div>{{ picture }}</div><div><b>{{ summary }}</b></div>
<details><summary>The same as a table</summary><table>
{% for moment in moments %}
<tr><td class="ms">{{ "%.1f"|format(moment.ms) }} ms</td><td>{{ moment.where }}</td><td>{{ moment.what }}</td></tr>
{% endfor %}
</table></details>
""")


class Trail(Display):
    """The five hops of a run as a thread with beads, cut where the ID is lost."""

    def __init__(self, run: Run, note: str | None = None) -> None:
        self.run, self.note = run, note

    def facts(self) -> dict[str, Any]:
        return {"stage": self.run.stage, "mix": self.run.mix, "verdicts": list(self.run.verdicts)}

    def text(self) -> str:
        words = present(self.run)
        hops = [row.plain for row in hop_rows(words.hops)]
        return "\n".join([words.title, "", *hops, "", words.result, *words.notes, words.ending])

    def html(self) -> str:
        words = present(self.run)
        # One column of 150 for the client and one for each hop, as in the table below.
        picture = svg.trail(self.run.verdicts, labels=False, start=75, first=225, gap=150, margin=75)
        return TRAIL.render(words=words, ids=[words.sent_id, *(hop.id for hop in words.hops)], picture=picture)


class Timeline(Display):
    """One request in time, as measured from its log lines."""

    def __init__(self, run: Run, note: str | None = None) -> None:
        self.run, self.note = run, note

    def text(self) -> str:
        rows = [f"{moment.ms:8.1f} ms  {moment.where:<18}  {moment.what}" for moment in timeline.moments(self.run)]
        return "\n".join([*rows, "", timeline.summary(self.run)])

    def html(self) -> str:
        return TIMELINE.render(
            picture=svg.bars(timeline.spans(self.run)),
            summary=timeline.summary(self.run),
            moments=timeline.moments(self.run),
        )
