"""What was recorded on live stacks with `make record`, shown: trails, logs, messages, matrices."""

from __future__ import annotations

import html
import json
import re
from functools import cache
from typing import Any

import pictures
from mkdocs.exceptions import PluginError

from clew import ladder
from clew.core.errors import ClewError
from clew.core.marks import BEADS, NO_ID
from clew.core.paths import ROOT
from clew.evidence import logs
from clew.evidence.trace import Hop, Run, in_milliseconds
from clew.lab import record
from clew.show import terminal as printing
from clew.stacks.services import NGINX

ANSI = re.compile(r"\x1b\[[0-9;]*m")
VERDICT_OF_BEAD = {bead: verdict for verdict, bead in BEADS.items()}
FIELDS = ("hop", "correlation_id", "request_id", "queue", "status_code", "duration_ms")

Entry = dict[str, Any]


@cache
def load(kind: str) -> Entry:
    """Return a recording, complete and as the truth table says.

    Raises:
        PluginError: it is not.
    """
    try:
        recording = record.load(kind)
    except ClewError as error:
        raise PluginError(str(error)) from None
    found = [entry["mix"] for entry in recording["runs"]]
    wanted = [stage.mix for stage in ladder.STAGE_LIST] if kind == "stages" else ladder.all_mixes()
    if sorted(found) != sorted(wanted):
        raise PluginError(
            f"The recording {kind}.json does not have one run for each of the {len(wanted)} mixes: make record"
        )
    wrong = [entry["mix"] for entry in recording["runs"] if not record.run_of(entry).as_predicted]
    if wrong:
        raise PluginError(f"The recording {kind}.json is not as the truth table says: {', '.join(wrong)}")
    for entry in recording["runs"] if kind == "stages" else ():
        _check_line(entry["ends_in"])
    return recording


def _check_line(end: Entry | None) -> None:
    """Refuse a recording whose trail ends in a line that is another one by now."""
    if end is None:
        return
    layer = next(layer for layer in ladder.LAYERS if layer.hop == end["hop"])
    line = (ROOT / end["file"]).read_text().splitlines()[end["line"] - 1 :][:1]
    if not line or layer.anchor not in line[0]:
        raise PluginError(f"The recorded trail ends at {end['file']}:{end['line']}, which has changed: make record")


def entry_of(mix: str) -> Entry:
    """Return the recording of a mix: the stage's own where the mix is one."""
    entries = [*load("stages")["runs"], *load("lattice")["runs"]]
    return next(entry for entry in entries if entry["mix"] == mix)


def stage_run(number: int) -> Run:
    return record.run_of(entry_of(ladder.stage(number).mix))


def when(kind: str = "stages") -> str:
    """Return one sentence: when, with what, and how to make it anew."""
    recording = load(kind)
    versions = ", ".join(f"{name} {version}" for name, version in recording["versions"].items())
    return (
        f'<p class="recorded">Recorded {recording["made_at"]} with the {recording["driver"]} driver: {versions}. '
        "<code>make record</code> makes it anew.</p>"
    )


def terminal(command: str, text: str) -> str:
    """Return terminal output as HTML, its beads and verdicts in their colours."""
    lines = []
    for line in ANSI.sub("", text).rstrip("\n").split("\n"):
        verdict = VERDICT_OF_BEAD.get(line.strip()[:1], "")
        shown = html.escape(line)
        if verdict:
            for word in (line.strip()[0], f" {verdict} "):
                shown = shown.replace(word, f'<span class="{verdict}">{word}</span>', 1)
        lines.append(shown)
    # A blank line within a <pre> would end Markdown's HTML block.
    body = "\n".join(line or "&#8203;" for line in lines)
    return (
        f'<div class="terminal"><p><span aria-hidden="true">$</span> {command}</p>'
        f'<pre tabindex="0" role="region" aria-label="Output of {command}">{body}</pre></div>'
    )


def trace(number: int) -> str:
    """Return what `make stage-N trace` printed."""
    with printing.out.capture() as captured:
        printing.trail(stage_run(number))
    return terminal(f"make stage-{number} up trace ID=MY-TRACE-123", captured.get())


def shown_ms(line: logs.Line, sent_at: float) -> str:
    """Return a log line's milliseconds since the client sent; nginx's are whole."""
    return in_milliseconds(max(0.0, (line["ts"] - sent_at) * 1000), whole=line["service"] == NGINX)


def log_view(lines: list[logs.Line], run: Run, command: str) -> str:
    """Return log lines with milliseconds since the client sent; where the sent ID stands, it is marked."""
    width = max(len(line["service"]) for line in lines)
    rows = []
    for line in logs.in_order(lines):
        message = str(line["message"])
        message = message.split(": {")[0].replace(run.task_id, run.task_id[:8] + "…")
        fields = " ".join(f"{name}={NO_ID if line[name] is None else line[name]}" for name in FIELDS if name in line)
        text = html.escape(f"{shown_ms(line, run.sent_at):>9}  {line['service']:<{width}}  {message}  ")
        text += f'<span class="fields">{html.escape(fields)}</span>'
        rows.append(text.replace(run.sent_id, f'<span class="kept">{run.sent_id}</span>'))
    return (
        f'<div class="terminal"><p><span aria-hidden="true">$</span> {command}</p>'
        f'<pre tabindex="0" role="region" aria-label="Log lines">{chr(10).join(rows)}</pre></div>'
    )


def stage_logs(number: int) -> str:
    """Return all log lines of a stage's recorded request, whether they bear its ID or not."""
    run = stage_run(number)
    return log_view(run.lines, run, f"make stage-{number} logs")


def search(number: int) -> str:
    """Return what one search for the sent ID finds on a stage."""
    run = stage_run(number)
    found = logs.with_id(run.lines, run.sent_id)
    return log_view(found, run, f"make stage-{number} logs ID={run.sent_id}")


def log_diff(number: int) -> str:
    """Return how the stage's normalised logs differ from those of the stage before."""
    found = entry_of(ladder.stage(number).mix)["log_diff"]
    if not found:
        raise PluginError(f"The recording of stage {number} has no log_diff: make record")
    return "\n".join(["```diff", *found, "```"])


def message(number: int) -> str:
    """Return the decoded message of a stage, folded."""
    found = entry_of(ladder.stage(number).mix)["message"]
    shown = {part: found[part] for part in ("properties", "headers", "args", "kwargs", "embed")}
    nowhere = "The ID is nowhere in it; its place would be `kwargs.correlation_id`."
    place = f"The ID is at `{found['id_at']}`." if found["id_at"] else nowhere
    marked = [n for n, line in enumerate(json.dumps(shown, indent=2).splitlines(), 1) if found["sent_id"] in line]
    options = f' hl_lines="{" ".join(map(str, marked))}"' if marked else ""
    body = [f"```json{options}", *json.dumps(shown, indent=2).splitlines(), "```"]
    return "\n".join([f'??? example "The message in Redis, decoded. {place}"', "", *(f"    {line}" for line in body)])


def cell(hop: Hop) -> str:
    return (
        f'<td><span class="{hop.verdict}">{BEADS[hop.verdict]} {hop.verdict}</span><small>{hop.shown_ms}</small></td>'
    )


def matrix(link: Any) -> str:
    """Return the six recorded stages as a table with milliseconds; `link` gives a stage's page."""
    head = "".join(f'<th scope="col">{hop}</th>' for hop in ladder.HOPS)
    rows = ""
    for entry in load("stages")["runs"]:
        stage = ladder.stage(entry["stage"])
        cells = "".join(cell(hop) for hop in record.run_of(entry).hops)
        rows += (
            f'<tr><th scope="row"><a href="{link(stage.number)}">{stage.number} · {stage.slug[3:]}</a></th>{cells}</tr>'
        )
    return (
        '<div class="matrix" tabindex="0" role="region" aria-label="Verdict per hop and stage"><table>'
        f'<thead><tr><th scope="col">stage</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def lattice(link: Any) -> str:
    """Return the 32 recorded mixes as small trails; `link` gives the explorer's address for a mix."""
    items = "".join(
        f'<li{" class=whole" if set(run.verdicts) == {"kept"} else ""}><a href="{link(run.mix)}"><code>{run.mix}</code>'
        f"{pictures.trail(run.verdicts, labels=False)}</a></li>"
        for run in (
            record.run_of(entry) for entry in sorted(load("lattice")["runs"], key=lambda entry: str(entry["mix"]))
        )
    )
    return f'<ul class="lattice">{items}</ul>'
