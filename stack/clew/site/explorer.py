"""The explorer: the drawing, and the recorded run of every mix as data. All its sentences are made here; the script
only chooses which one to show."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from clew import ladder
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.core.marks import BEADS, NO_ID
from clew.evidence import logs
from clew.evidence.trace import Run
from clew.lab import recordings
from clew.show import message as message_words
from clew.show.trail import outcome, present
from clew.site import drawing, recorded, web
from clew.stacks.services import REDIS

STILL = 3  # the stage that is drawn before, or without, JavaScript
SHOWN = ("kept", "replaced", "missing")
STEPS = (*ladder.HOPS[:4], "message", ladder.HOPS[4])

SourceUrl = Callable[[str, int], str]


def page(source_url: SourceUrl) -> str:
    """Return the explorer as HTML: a still picture, and the data that its script plays.

    Raises:
        ClewError: the stage of the still picture loses nothing.
    """
    still = recorded.entry_of(ladder.stage(STILL).mix)
    run = recordings.run_of(still)
    if run.ends_in is None:
        raise ClewError(f"Stage {STILL} loses nothing, so it makes no still picture.", "choose another STILL")
    payload = {
        "steps": STEPS,
        "titles": [f"{stage.number} · {stage.title}" for stage in ladder.STAGE_LIST],
        "runs": [played(recorded.entry_of(mix), source_url) for mix in sorted(ladder.all_mixes())],
    }
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return web.render(
        "explorer.html",
        hops=ladder.HOPS,
        still=STILL,
        stages=ladder.STAGE_LIST,
        mix=run.mix,
        shown=[(verdict, BEADS[verdict]) for verdict in SHOWN],
        run=played(still, source_url),
        maps=[drawing.drawing(layout, run) for layout in ("wide", "tall")],
        log=recorded.log_view(run.lines, run, "all nine logs, this request"),
        message=json.dumps({"kwargs": still["message"]["kwargs"]}, indent=2),
        payload=Markup(text.replace("</", "<\\/")),  # noqa: S704
    )


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
    }
