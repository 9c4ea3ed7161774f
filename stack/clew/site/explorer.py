"""The explorer: the drawing, and the recorded run of every mix as data. All its sentences are made here; the script
only chooses which one to show. Nothing of how a run ends is in the page before a learner has guessed, or pressed Play.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from clew import ladder
from clew.core.lines import Line
from clew.core.marks import BEADS, NO_ID
from clew.evidence import logs
from clew.evidence import two as two_requests
from clew.evidence.trace import Run
from clew.evidence.two import Owned, Two
from clew.lab import recordings
from clew.show import message as message_words
from clew.show.trail import outcome, present
from clew.site import drawing, recorded, web
from clew.stacks.services import REDIS

FIRST = 0  # the stage that it opens with
MOST_LINES = 6  # of code
NOTHING_ALONE = re.compile(r"\s*(#.*|[]})]*)")
SHOWN = ("kept", "replaced", "missing")
STEPS = (*ladder.HOPS[:4], "message", ladder.HOPS[4])

SourceUrl = Callable[[str, int], str]


def page(source_url: SourceUrl) -> str:
    """Return the explorer as HTML: the nine services without a request, and the data that its script plays."""
    first = recorded.entry_of(ladder.stage(FIRST).mix)
    run = recordings.run_of(first)
    payload = {
        "steps": STEPS,
        "hops": ladder.HOPS,
        "titles": [f"{stage.number} · {stage.title}" for stage in ladder.STAGE_LIST],
        "runs": [played(recorded.entry_of(mix), source_url) for mix in sorted(ladder.all_mixes())],
        "code": {layer.hop: [code(layer, fixed, source_url) for fixed in (False, True)] for layer in ladder.LAYERS},
        "two": [crossing(Two.from_json(entry)) for entry in recordings.load("two")["runs"]],
    }
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return web.render(
        "explorer.html",
        hops=ladder.HOPS,
        stages=ladder.STAGE_LIST,
        first=FIRST,
        shown=[(verdict, BEADS[verdict]) for verdict in SHOWN],
        names=two_requests.NAMES,
        told=played(first, source_url)["words"]["told"],
        maps=[drawing.drawing(layout, None) for layout in ("wide", "tall")],
        id=run.sent_id,
        payload=Markup(text.replace("</", "<\\/")),  # noqa: S704
    )


def code(layer: ladder.Layer, fixed: bool, source_url: SourceUrl) -> dict[str, Any]:
    """Return the few lines of a layer's file that keep the ID or lose it: number, text, whether it changed."""
    stage = ladder.FIXED if fixed else ladder.AS_FOUND
    path = f"stages/{stage.slug}/{layer.file}"
    lines = (stage.folder / layer.file).read_text().splitlines()
    changed = [n for n in ladder.changed_lines(layer, fixed) if not NOTHING_ALONE.fullmatch(lines[n - 1])]
    if len(changed) > MOST_LINES:
        changed = changed[:2]  # four tasks with the same change: the first
    if not changed:  # what is missing can only be seen by what is there
        first = ladder.cause_line(stage.folder / layer.file, layer)
        shown = list(range(first, first + 5))
    elif len(changed) < 3:
        shown = list(range(changed[0] - 1, changed[-1] + 2))[-MOST_LINES:]
    else:
        shown = changed
    return {
        "file": path,
        "url": source_url(path, shown[0]),
        "lines": [[n, lines[n - 1], n in changed] for n in shown],
    }


def crossing(two: Two) -> dict[str, Any]:
    """Return what the script needs of two requests at once: each one's way, whose each of its lines is, and sentences.

    Which of the two took which way is known from the servers, also where no line tells whose it is; the script draws a
    piece in a person's colour only where a line does.
    """
    hop_lines = [one for one in two.lines if one.line.get("hop")]
    servers = sorted(
        {one.line["service"] for one in hop_lines if one.line["hop"] == "routes"},
        key=lambda server: next((one.owner for one in hop_lines if one.line["service"] == server and one.owner), 0),
    )
    ways = []
    for index, server in enumerate(servers):
        of_server = {one.line["hop"]: one for one in hop_lines if one.line["service"] == server}
        task = of_server["queue-service"].line["task_id"]
        worker = next(one for one in hop_lines if one.line["hop"] == "worker" and one.line["task_id"] == task)
        front = [one for one in hop_lines if one.line["hop"] == "nginx"][index]
        taken = {"nginx": front, **of_server, "message": of_server["queue-service"], "worker": worker}
        ways.append({hop: [one.line["service"], one.owner, logged(one)] for hop, one in taken.items()})
        ways[-1]["message"][0] = REDIS
    known = [one.by for one in two.lines]
    whole = len(known)
    by_task = known.count(two_requests.BY_TASK)
    return {
        "ways": ways,
        "told": f"{whole - known.count(None)} of {whole} lines can be told apart"
        + (f", {by_task} of them only by way of the task ID." if by_task else "."),
    }


def logged(one: Owned) -> str:
    """Return a line of two requests as the script prints it."""
    found = one.line.get("correlation_id")
    return f"{one.line['service']}  {one.line['message']}  correlation_id={NO_ID if found is None else found}"


def played(entry: recorded.Entry, source_url: SourceUrl) -> dict[str, Any]:
    """Return what the script needs of a recorded run: places and verdicts, log lines, the message, and sentences."""
    run = recordings.run_of(entry)
    found = entry["message"]
    return {
        "mix": run.mix,
        "id": run.sent_id,
        "hops": {
            **{hop.hop: {"verdict": hop.verdict, "service": hop.service, "ms": hop.ms} for hop in run.hops},
            "message": {"verdict": run.hops[3].verdict, "service": REDIS, "ms": run.hops[3].ms},
        },
        "lines": [line_of(line, run) for line in logs.in_order(run.lines)],
        "message": {key: found[key] for key in ("queue", "properties", "headers", "args", "kwargs", "embed")},
        "words": words(run, found, source_url),
    }


def line_of(line: Line, run: Run) -> dict[str, Any]:
    """Return a log line as the script prints it."""
    fields = {name: NO_ID if line[name] is None else str(line[name]) for name in recorded.FIELDS if name in line}
    return {
        "ms": max(0.0, round((line["ts"] - run.sent_at) * 1000, 1)),
        "shown": recorded.shown_ms(line, run.sent_at),
        "service": line["service"],
        "message": recorded.shown_message(line, run.task_id),
        "fields": " ".join(f"{name}={value}" for name, value in fields.items()),
        "hop": line.get("hop"),
    }


def words(run: Run, message: dict[str, Any], source_url: SourceUrl) -> dict[str, Any]:
    """Return the sentences about a run: before it starts, at each of the six steps, and at its end."""
    trail = present(run)
    steps = {**{hop.hop: hop.sentence for hop in trail.hops}, "message": message_words.in_redis(message)}
    path, _, line = trail.place.rpartition(":")
    return {
        "name": f"{trail.name}: not a stage" if run.stage is None else "",
        "start": trail.start,
        "steps": [steps[step] for step in STEPS],
        "told": trail.verdicts,
        "end": f"{trail.ends}: " if trail.place else trail.ending,
        "place": trail.place,
        "url": source_url(path, int(line)) if trail.place else "",
        "answer": f"{trail.answer} {outcome(run)}, calculated in {run.task_ms:.0f} ms.",
        "message": message_words.id_place(message),
        "decoy": message["properties"].get("correlation_id"),
    }
