"""What is said of two requests at once: every renderer takes its words from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from clew import ladder
from clew.core.marks import NO_ID
from clew.core.text import printable
from clew.drills.model import exactly
from clew.evidence.two import BY_ID, BY_TASK, NAMES, Two
from clew.show.display.base import TEMPLATES, Display
from clew.show.terminal import next_step, out, sentence
from clew.stacks.stack import stage_stack

SHAPES = ("●", "■", "?")
COLOURS = ("#0072B2", "#CC79A7", "#999999")  # of Okabe and Ito's palette; the third is nobody's
KINDS = ("first", "second", "nobody")
WHY = (
    "A line without an ID could be anyone's, and nothing in the logs can tell.",
    "That is what a correlation ID is for.",
)


@dataclass(frozen=True)
class Row:
    """A line as it is shown; `kind` is 0 for the first person, 1 for the second, 2 for nobody known."""

    time: str
    service: str
    message: str
    id: str
    kind: int
    whose: str

    @property
    def shape(self) -> str:
        return SHAPES[self.kind]


def rows(found: Two) -> list[Row]:
    """Return the lines of both requests in time order; times count from the first request.

    nginx cuts its times to milliseconds: where that puts its line before the one that it follows, this one's time is
    shown.
    """
    begin = min(found.sent_at)
    shown, ms = [], 0.0
    for one in found.lines:
        line, kind = one.line, 2 if one.owner is None else one.owner
        ms = max(ms, (line["ts"] - begin) * 1000)
        logged = line.get("correlation_id") or line.get("request_id")
        message = str(line["message"]).partition(": {")[0]
        if line.get("task_id"):
            message += f"  task {str(line['task_id'])[:8]}"
        whose = f"{NAMES[0]}'s or {NAMES[1]}'s?" if kind == 2 else f"{NAMES[kind]}'s"
        if one.by == BY_TASK:
            whose += ", by its task ID"
        shown.append(Row(f"{ms:.1f} ms", printable(line["service"]), printable(message),
                         printable(str(logged)) if logged else NO_ID, kind, whose))  # fmt: skip
    return shown


def title(found: Two) -> str:
    """Return one line: where, and who sent what."""
    where = f"stage {found.stage}" if found.stage is not None else f"mix {found.mix}"
    people = [f"{name} sent {printable(sent_id)}" for name, sent_id in zip(NAMES, found.sent_ids, strict=True)]
    return f"{where} · two requests at once · {', '.join(people)}"


def ending(found: Two) -> str:
    """Return one sentence: how many lines can be told apart."""
    total, by_task = len(found.lines), sum(one.by == BY_TASK for one in found.lines)
    if found.told_apart == total and by_task:
        return f"All {total} lines can be told apart, {by_task} of them only by way of another line with their task ID."
    if found.told_apart == total:
        return f"All {total} lines can be told apart, each by its own ID: two threads."
    many = f"{found.told_apart} of {total} lines" if found.told_apart else f"None of the {total} lines"
    return f"{many} can be told apart."


def notes(found: Two) -> list[str]:
    """Return further sentences: why, where lines are nobody's."""
    return [] if found.told_apart == len(found.lines) else list(WHY)


def terminal(found: Two) -> None:
    """Print whose each line is."""
    out.print(Text(title(found), "bold"))
    out.print()
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for justify in ("right", "left", "left", "left", "left", "left"):
        table.add_column(justify=justify, overflow="fold")
    for row in rows(found):
        colour = COLOURS[row.kind]
        cells = [Text(text) for text in (row.time, row.service, row.message)]
        table.add_row(*cells, Text(row.id, colour), Text(row.shape, colour), Text(row.whose, colour))
    out.print(table)
    out.print()
    sentence(ending(found))
    for note in notes(found):
        sentence(note)
    if found.stage is not None and found.stage < 5:
        next_step(stage_stack(found.stage + 1).command("up two"))


HTML = TEMPLATES.from_string("""\
<style>
.clew .two-at-once {min-width:660px}
.clew .two-at-once td:nth-child(-n+2) {white-space:nowrap}
{% for colour in colours %}
.clew .two-at-once .{{ kinds[loop.index0] }} {box-shadow:inset 4px 0 {{ colour }}}
.clew .two-at-once .{{ kinds[loop.index0] }} b {color:{{ colour }}; font-size:16px; line-height:1}
{% endfor %}
</style>
<div><b>{{ title }}</b></div>
<div class="wide" tabindex="0"><table class="two-at-once">
{% for row in rows %}
<tr class="{{ kinds[row.kind] }}"><td class="ms">{{ row.time }}</td><td>{{ row.service }}</td>
<td class="mono">{{ row.message }}</td><td class="mono">{{ row.id }}</td>
<td><b>{{ row.shape }}</b> {{ row.whose }}</td></tr>
{% endfor %}
</table></div>
<div><b>{{ ending }}</b></div>
{% for note in notes %}<div>{{ note }}</div>{% endfor %}
""")


class TwoAtOnce(Display):
    """Two requests at once: whose each line is."""

    def __init__(self, found: Two, note: str | None = None) -> None:
        self.found, self.note = found, note

    def text(self) -> str:
        lines = [f"{row.time:>9}  {row.service:<18}  {row.message:<44}  {row.id:<16}  {row.shape} {row.whose}"
                 for row in rows(self.found)]  # fmt: skip
        return "\n".join([title(self.found), "", *lines, "", ending(self.found), *notes(self.found)])

    def html(self) -> str:
        return HTML.render(
            title=title(self.found),
            rows=rows(self.found),
            ending=ending(self.found),
            notes=notes(self.found),
            colours=COLOURS,
            kinds=KINDS,
        )

    def facts(self) -> dict[str, Any]:
        by_id = sum(one.by == BY_ID for one in self.found.lines)
        wanted = {0: 0, ladder.FIXED.number: len(self.found.lines)}
        checks = [exactly("lines that one of the two IDs tells apart", wanted[self.found.stage], by_id)
                  ] if self.found.stage in wanted else []  # fmt: skip
        return {"told_apart": self.found.told_apart, "checks": [vars(check) for check in checks], "measured": True}
