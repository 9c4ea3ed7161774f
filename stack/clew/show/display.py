"""What a notebook shows: HTML where there is HTML, plain text elsewhere.

Everything that a client or a log line may have written is escaped. Shapes and words say what colours say. A picture
holds no text that the table beside it lacks, so a viewer that strips pictures loses nothing.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from clew import ladder
from clew.core.lines import Line
from clew.core.marks import BEADS, COLOURS, NO_ID
from clew.evidence import timeline
from clew.evidence.diff import normalised
from clew.evidence.trace import Run
from clew.show import svg
from clew.show.trail import outcome

KEPT, LOST = COLOURS["kept"], COLOURS["missing"]
STYLE = f"""<style>
.clew {{font-size:13px; line-height:1.45; color:var(--jp-content-font-color1, inherit); max-width:1100px}}
.clew table {{border-collapse:collapse; width:100%; table-layout:auto; margin:4px 0}}
.clew :is(td, th) {{text-align:left !important; vertical-align:top; padding:2px 8px; border:0; background:none}}
.clew tr {{background:none !important}}
.clew .wide {{overflow-x:auto}}
.clew .thread {{table-layout:fixed; min-width:640px}}
.clew .thread :is(td, th) {{text-align:center !important; padding:1px 2px; overflow-wrap:anywhere}}
.clew .thread svg {{display:block; width:calc(100% + 16px); height:30px; margin:0 -8px; overflow:visible}}
.clew :is(.mono, pre) {{font-family:var(--jp-code-font-family, monospace); font-size:12px}}
.clew :is(.mono, pre) {{white-space:pre-wrap; margin:0; padding-left:8px}}
.clew .rows :is(td, th):not(:last-child) {{white-space:nowrap}}
.clew .words {{padding:4px 10px}}
.clew .ms {{text-align:right !important; white-space:nowrap}}
.clew .faint {{opacity:.75}}
.clew .id {{font-weight:700; border-bottom:2px solid {KEPT}}}
.clew .on {{background:rgba(0,158,115,.16); box-shadow:inset 3px 0 {KEPT}}}
.clew .off {{background:rgba(213,94,0,.14); box-shadow:inset 3px 0 {LOST}}}
.clew .two {{display:grid; grid-template-columns:minmax(0,1fr) minmax(0,1fr); gap:2px 14px; align-items:stretch}}
.clew .two > div {{padding:1px 8px}}
.clew .beside {{display:grid; grid-template-columns:repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap:10px 18px}}
.clew .replay {{border:1px dashed currentColor; padding:2px 8px; display:inline-block; margin-bottom:4px}}
.clew summary {{cursor:pointer}}
</style>"""


class Display:
    """Something to show: `text`, `html`, and `facts` that checks read. `note` says that a recording is played."""

    note: str | None = None

    def text(self) -> str:
        raise NotImplementedError

    def html(self) -> str:
        return f"<pre>{escape(self.text())}</pre>"

    def facts(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        return f"{self.note}\n\n{self.text()}" if self.note else self.text()

    def _repr_html_(self) -> str:
        note = f'<div class="replay">▷ {escape(self.note)}</div>' if self.note else ""
        # Without these classes a page with MathJax takes what stands between two dollar signs for a formula.
        return f'{STYLE}\n<div class="clew mathjax_ignore tex2jax_ignore">{note}{self.html()}</div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        facts = {"clew": {**self.facts(), "replay": self.note is not None}}
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, facts


class Words(Display):
    """A few sentences; `ok` gives them their shape: ● when something holds, ○ when it does not yet."""

    def __init__(self, words: str, ok: bool | None = None, note: str | None = None) -> None:
        self.words, self.ok, self.note = words, ok, note

    def text(self) -> str:
        return self.words if self.ok is None else f"{BEADS['kept' if self.ok else 'missing']} {self.words}"

    def html(self) -> str:
        kind = "" if self.ok is None else "on" if self.ok else "off"
        body = prose(self.text()).replace("\n", "<br>")
        return f'<div class="words {kind}">{body}</div>'


class Table(Display):
    """Rows of plain text below a head."""

    def __init__(
        self,
        head: Sequence[str],
        rows: Iterable[Sequence[str]],
        note: str | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.head, self.rows, self.note = list(head), [list(row) for row in rows], note
        self._facts = facts or {}

    def facts(self) -> dict[str, Any]:
        return self._facts

    def text(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        return "\n".join(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def html(self) -> str:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.head)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return f'<table class="rows"><tr>{head}</tr>{rows}</table>'


class Trail(Display):
    """The five hops of a run as a thread with beads, cut where the ID is lost."""

    def __init__(self, run: Run, note: str | None = None) -> None:
        self.run, self.note = run, note

    def facts(self) -> dict[str, Any]:
        return {"stage": self.run.stage, "mix": self.run.mix, "verdicts": list(self.run.verdicts)}

    def ending(self) -> str:
        end = self.run.ends_in
        if self.run.unusable:
            return f"This ID may not pass as it is, so nginx replaced it with {self.run.answered_id}"
        if end is None:
            return "The trail reaches the worker: one ID through five layers."
        return f"The trail ends in {end['hop']}: {end['file']}, line {end['line']}"

    def title(self) -> str:
        run = self.run
        name = f"Stage {run.stage}" if run.stage is not None else f"Mix {run.mix}"
        done = f"{run.status}: {outcome(run)}" if run.status == "SUCCESS" else run.status
        return f"{name} · sent X-Request-ID: {run.sent_id} · task {run.task_id} · {done}"

    def text(self) -> str:
        width = max(len(hop.id or NO_ID) for hop in self.run.hops)
        hops = [
            f"  {BEADS[hop.verdict]} {hop.hop:<14} {hop.verdict:<9} {hop.id or NO_ID:<{width}}"
            + f" {hop.shown_ms:>11}"
            + f"  {hop.service or f'one of {hop.candidates} lines'}"
            for hop in self.run.hops
        ]
        return "\n".join([self.title(), "", *hops, "", self.ending()])

    def html(self) -> str:
        run = self.run
        verdicts = ["kept", *run.verdicts]
        beads = "".join(
            f"<td>{bead(verdict, before=verdicts[index - 1] if index else None, last=index == len(verdicts) - 1)}</td>"
            for index, verdict in enumerate(verdicts)
        )
        rows = [
            ("th", ["client", *(hop.hop for hop in run.hops)]),
            ("td", ["sent", *(f"{BEADS[hop.verdict]} {hop.verdict}" for hop in run.hops)]),
            ("td", [run.sent_id, *(hop.id or NO_ID for hop in run.hops)]),
            ("td", ["0 ms", *(hop.shown_ms or "?" for hop in run.hops)]),
            ("td", ["", *(hop.service or f"one of {hop.candidates} lines" for hop in run.hops)]),
        ]
        cells = "".join(
            "<tr>" + "".join(f"<{tag}>{with_id(value, run.sent_id)}</{tag}>" for value in values) + "</tr>"
            for tag, values in rows
        )
        return (
            f"<div>{with_id(self.title(), run.sent_id)}</div>"
            f'<div class="wide"><table class="thread"><tr>{beads}</tr>{cells}</table></div>'
            f"<div><b>{escape(self.ending())}</b></div>"
        )


def bead(verdict: str, before: str | None, last: bool) -> str:
    """Return one bead with its piece of thread: what came in from the left, what goes out to the right."""
    shapes = {
        "kept": '<circle r="9" fill="{0}"/>',
        "replaced": '<path d="M0-11 11 0 0 11-11 0z" fill="{0}"/>',
        "missing": '<circle r="8" style="fill:var(--jp-layout-color0, Canvas)" stroke="{0}" stroke-width="3"/>',
        "unknown": '<circle r="8" fill="none" stroke="{0}" stroke-width="3" stroke-dasharray="3 3"/>',
    }
    shape = shapes[verdict].format(COLOURS[verdict])
    parts = [f'<svg role="img" aria-label="{verdict}" height="30">']
    if before is not None:
        cut = verdict != before
        parts.append(piece(before, "0", "22%" if cut else "50%"))
        if cut:  # the loose end of the thread
            parts.append(
                '<svg x="22%" y="15" overflow="visible"><path d="M0 0q5 0 8-6M0 0q6 1 8 6M0 0h9" fill="none" '
                f'stroke="{COLOURS[before]}" stroke-width="1.5"/></svg>'
            )
    if not last:
        parts.append(piece(verdict, "50%", "100%"))
    parts.append(f'<svg x="50%" y="15" overflow="visible">{shape}</svg></svg>')
    return "".join(parts)


def piece(verdict: str, start: str, end: str) -> str:
    strokes = {"kept": 'stroke-width="4"', "replaced": 'stroke-width="4" stroke-dasharray="10 4"'}
    faint = 'stroke-width="2" stroke-dasharray="1 6" stroke-linecap="round" opacity=".6"'
    colour = COLOURS[verdict] if verdict in strokes else "currentColor"
    return f'<line x1="{start}" y1="15" x2="{end}" y2="15" stroke="{colour}" {strokes.get(verdict, faint)}/>'


def with_id(text: str, sent_id: str) -> str:
    """Escape a text and mark the sent ID in it."""
    return (
        escape(text).replace(escape(sent_id), f'<span class="id">{escape(sent_id)}</span>') if sent_id else escape(text)
    )


def prose(text: str) -> str:
    """Escape a text and set what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


class LogDiff(Display):
    """The normalised logs of two runs side by side: what is told apart is told by a change of a layer, not by noise."""

    def __init__(self, before: Run, after: Run, note: str | None = None) -> None:
        self.before, self.after, self.note = before, after, note

    def facts(self) -> dict[str, Any]:
        return {"changed": sum(old != new for old, new in self.rows())}

    def rows(self) -> list[tuple[str, str]]:
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
        """Return the same below each other, for where half the width must do."""
        return UnifiedDiff(self.text().splitlines(), self.after.sent_id, self.note)

    def html(self) -> str:
        cells = [f"<div><b>{escape(run.folder)}</b></div>" for run in (self.before, self.after)]
        for old, new in self.rows():
            changed = old != new
            for text, kind, sign, run in ((old, "off", "−", self.before), (new, "on", "+", self.after)):
                css, mark = (kind, sign) if changed and text else ("", " ")
                cells.append(f'<div class="mono {css}">{mark} {with_id(text, run.sent_id)}</div>')
        return f'<div class="two">{"".join(cells)}</div>'


class UnifiedDiff(Display):
    """A unified diff, of source or of logs; `sent_id` is marked in it."""

    def __init__(self, lines: Sequence[str], sent_id: str = "", note: str | None = None) -> None:
        self.lines, self.sent_id, self.note = list(lines), sent_id, note

    def text(self) -> str:
        return "\n".join(self.lines)

    def html(self) -> str:
        return "".join(
            f'<div class="mono {kind_of(line)}">{with_id(line, self.sent_id) or " "}</div>' for line in self.lines
        )


def kind_of(line: str) -> str:
    """Return how a line of a unified diff is set."""
    if line.startswith(("+++", "---", "@@")):
        return "faint"
    return {"+": "on", "-": "off"}.get(line[:1], "")


class Beside(Display):
    """Two displays beside each other; one below the other where it is narrow, and in text."""

    def __init__(self, left: Display, right: Display, titles: tuple[str, str]) -> None:
        self.left, self.right, self.titles = left, right, titles
        self.note = left.note or right.note

    def facts(self) -> dict[str, Any]:
        return {**self.left.facts(), **self.right.facts()}

    def text(self) -> str:
        parts = zip(self.titles, (self.left, self.right), strict=True)
        return "\n\n".join(f"{title}\n\n{part.text()}" for title, part in parts)

    def html(self) -> str:
        parts = zip(self.titles, (self.left, self.right), strict=True)
        sections = "".join(f"<div><b>{escape(title)}</b>{part.html()}</div>" for title, part in parts)
        return f'<div class="beside">{sections}</div>'


class Source(Display):
    """Some lines of a file, with the ones that matter marked: `fixed` says whether they hand the ID on."""

    def __init__(
        self, path: str, first: int, lines: Sequence[str], marked: Iterable[int], fixed: bool, words: str
    ) -> None:
        self.path, self.first, self.lines, self.marked = path, first, list(lines), set(marked)
        self.kind, self.words = "on" if fixed else "off", words

    def text(self) -> str:
        numbered = enumerate(self.lines, self.first)
        lines = [f"{'▶' if number in self.marked else ' '} {number:3}  {line}".rstrip() for number, line in numbered]
        return "\n".join([self.path, "", *lines, "", self.words])

    def html(self) -> str:
        rows = "".join(
            f'<div class="mono {self.kind if number in self.marked else ""}">{"▶" if number in self.marked else " "} '
            f"{number:3}  {escape(line)}</div>"
            for number, line in enumerate(self.lines, self.first)
        )
        return f"<div><b>{escape(self.path)}</b></div>{rows}<p>{prose(self.words)}</p>"


class MessageXray(Display):
    """The raw Celery message, opened: where in it the ID is, or would be."""

    def __init__(self, message: dict[str, Any], note: str | None = None) -> None:
        self.message, self.note = message, note

    def facts(self) -> dict[str, Any]:
        return {"id_at": self.message["id_at"]}

    def verdict(self) -> str:
        if place := self.message["id_at"]:
            return f"{BEADS['kept']} The ID is in the message, at {place}."
        return f"{BEADS['missing']} The ID is nowhere in the message; it would be at kwargs.correlation_id."

    def trap(self) -> str:
        return "properties.correlation_id is Celery's own: it repeats the task ID, whatever the client sent."

    def text(self) -> str:
        found = self.message
        lines = [f"queue {found['queue']} · task {found['task_id']} · sent X-Request-ID: {found['sent_id']}", ""]
        for part in ("kwargs", "headers", "properties"):
            lines += [part, *(f"  {line}" for line in json.dumps(self.shown(part), indent=2).splitlines())]
        return "\n".join([*lines, "", self.verdict(), self.trap()])

    def shown(self, part: str) -> dict[str, Any]:
        """Return a part of the message without the empty fields, and without `origin`, a process and host name."""
        fields = self.message[part].items()
        return {key: value for key, value in fields if value not in (None, {}, [None, None]) and key != "origin"}

    def html(self) -> str:
        found = self.message
        parts = []
        for part, what in (
            ("kwargs", "the body: what the worker's function is called with"),
            ("headers", "about the task; id is the task ID"),
            ("properties", "about the delivery; a header of the broker, not of HTTP"),
        ):
            rows = "".join(
                f'<div class="mono {"on" if found["sent_id"] in line else ""}">{with_id(line, found["sent_id"])}</div>'
                for line in json.dumps(self.shown(part), indent=2).splitlines()
            )
            opened = " open" if part == "kwargs" else ""
            parts.append(f"<details{opened}><summary><b>{part}</b> · {escape(what)}</summary>{rows}</details>")
        title = f"queue {found['queue']} · task {found['task_id']} · sent X-Request-ID: {found['sent_id']}"
        kind = "on" if found["id_at"] else "off"
        return (
            f"<div>{with_id(title, found['sent_id'])}</div>{''.join(parts)}"
            f'<div class="words {kind}">{escape(self.verdict())}</div>'
            f'<div class="faint">{escape(self.trap())}</div>'
        )


class Timeline(Display):
    """One request in time, as measured from its log lines."""

    def __init__(self, run: Run, note: str | None = None) -> None:
        self.run, self.note = run, note

    def text(self) -> str:
        rows = [f"{moment.ms:8.1f} ms  {moment.where:<18}  {moment.what}" for moment in timeline.moments(self.run)]
        return "\n".join([*rows, "", timeline.summary(self.run)])

    def html(self) -> str:
        rows = "".join(
            f'<tr><td class="ms">{moment.ms:.1f} ms</td><td>{escape(moment.where)}</td>'
            f"<td>{escape(moment.what)}</td></tr>"
            for moment in timeline.moments(self.run)
        )
        picture = svg.bars(timeline.spans(self.run))
        table = f"<details><summary>The same as a table</summary><table>{rows}</table></details>"
        return f"<div>{picture}</div><div><b>{escape(timeline.summary(self.run))}</b></div>{table}"


class Matrix(Display):
    """Many runs, a row each: expected and observed."""

    def __init__(self, runs: Sequence[Run], note: str | None = None) -> None:
        self.runs, self.note = list(runs), note

    def facts(self) -> dict[str, Any]:
        return {"as_predicted": sum(run.as_predicted for run in self.runs), "of": len(self.runs)}

    def ending(self) -> str:
        whole = sum(set(run.verdicts) == {"kept"} for run in self.runs)
        predicted = sum(run.as_predicted for run in self.runs)
        return f"{predicted} of {len(self.runs)} as the rule says; the ID gets through to the worker in {whole}."

    def table(self) -> Table:
        rows = [
            [
                f"{run.stage:02}" if run.stage is not None else run.mix,
                *(f"{BEADS[verdict]} {verdict}" for verdict in run.verdicts),
            ]
            for run in self.runs
        ]
        return Table(["", *ladder.HOPS], rows)

    def text(self) -> str:
        return f"{self.table().text()}\n\n{self.ending()}"

    def html(self) -> str:
        return f"{self.table().html()}<div><b>{escape(self.ending())}</b></div>"


class Lines(Display):
    """Log lines found by one search over all nine services, in time order; times count from the first."""

    def __init__(self, lines: Sequence[Line], wanted: str, note: str | None = None) -> None:
        self.lines, self.wanted, self.note = list(lines), wanted, note

    def rows(self) -> list[tuple[str, str, str]]:
        start = self.lines[0]["ts"] if self.lines else 0
        fields = ("correlation_id", "request_id", "task_id", "duration_ms")
        rows = []
        for line in self.lines:
            told = " ".join(f"{name}={line[name]}" for name in fields if line.get(name) is not None)
            message = str(line["message"]).partition(": {")[0]
            rows.append((f"{(line['ts'] - start) * 1000:.1f} ms", line["service"], f"{message}  {told}"))
        return rows

    def ending(self) -> str:
        services = len({line["service"] for line in self.lines})
        return f"{len(self.lines)} lines with {self.wanted} in {services} of 9 services, found by one search."

    def text(self) -> str:
        return "\n".join(
            [*(f"{when:>10}  {service:<18}  {what}" for when, service, what in self.rows()), "", self.ending()]
        )

    def html(self) -> str:
        rows = "".join(
            f'<tr><td>{when}</td><td>{escape(service)}</td><td class="mono">{with_id(what, self.wanted)}</td></tr>'
            for when, service, what in self.rows()
        )
        return f"<table>{rows}</table><div><b>{escape(self.ending())}</b></div>"
