"""One request in time: moments read from its log lines, and a picture of them."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from clew.core.marks import COLOURS
from clew.evidence.trace import Run
from clew.stacks.services import WORKERS

INK = "#010203"  # stands for the page's own text colour until the picture is written
CELERYS_OWN = ("received", "succeeded", "failed", "raised")


@dataclass(frozen=True)
class Moment:
    """Something that happened `ms` after the client began to send."""

    ms: float
    where: str
    what: str


@dataclass(frozen=True)
class Span:
    """From `start` to `end`, in milliseconds after the client began to send."""

    where: str
    what: str
    start: float
    end: float


def moments(run: Run) -> list[Moment]:
    """Return what is known of a request in time order, the client's own two moments included."""
    found = [Moment(0.0, "client", "POST sent"), Moment(run.answered_ms, "client", "answer 201, with the task ID")]
    for line in run.lines:
        message = str(line["message"])
        if message.startswith("Task tasks."):
            message = next((f"Celery: {word}" for word in CELERYS_OWN if f" {word}" in message), "Celery")
        begun = line["ts"] - line.get("request_time", 0)  # nginx logs a request at its end
        found.append(Moment(max(0.0, (begun - run.sent_at) * 1000), line["service"], message))
    return sorted(found, key=lambda moment: moment.ms)


def spans(run: Run) -> list[Span]:
    """Return where the time went: the request, its way through nginx and API, the wait in Redis, the calculation."""
    found = [Span("client", "waits for the answer", 0.0, run.answered_ms)]
    for line in run.lines:
        at = (line["ts"] - run.sent_at) * 1000
        if line.get("hop") == "nginx":
            found.append(Span("nginx", "passes it on", max(0.0, at - line["request_time"] * 1000), at))
        elif str(line["message"]).startswith("Request completed"):
            found.append(Span("FastAPI", "takes the task in", max(0.0, at - line["duration_ms"]), at))
        elif line["service"] in WORKERS and "duration_ms" in line:
            found.append(Span("worker", "calculates", at - line["duration_ms"], at))
    queued, started = (hop.ms for hop in run.hops[-2:])
    if queued is not None and started is not None:
        found.append(Span("Redis", "holds the message", queued, started))
    order = ("client", "nginx", "FastAPI", "Redis", "worker")
    return sorted(found, key=lambda span: order.index(span.where))


def summary(run: Run) -> str:
    end = max((span.end for span in spans(run)), default=run.answered_ms)
    return f"The client had its answer after {run.answered_ms:.1f} ms; the task was done after {end:.1f} ms."


def picture(run: Run) -> str:
    """Return an SVG of the spans, in the text colour of the page it stands on; empty without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        return ""
    found = spans(run)
    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "clew",
            "text.color": INK,
            "font.family": "sans-serif",
            "font.size": 10,
        }
    ):
        figure = Figure(figsize=(9, 2.2), layout="constrained")
        axes = figure.subplots()
        end = max(span.end for span in found)
        for row, span in enumerate(reversed(found)):
            colour = COLOURS["unknown"] if span.where == "Redis" else COLOURS["kept"]
            axes.barh(row, span.end - span.start, left=span.start, height=0.55, color=colour)
            text = f"{span.what}, {span.end - span.start:.1f} ms"
            axes.annotate(text, (span.end, row), (5, 0), textcoords="offset points", va="center", color=INK)
        axes.set_yticks(range(len(found)), [span.where for span in reversed(found)])
        axes.set_xlim(0, end * 1.4)  # room for the words beside the longest bar
        axes.set_xlabel("milliseconds since the client sent", color=INK)
        axes.tick_params(colors=INK, length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(INK)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue().replace(INK, "currentColor")
    svg = re.sub(r"(?s)^.*?(<svg )", r'\1role="img" aria-label="Timeline of the request" ', svg)
    svg = re.sub(r"(?s)<metadata>.*?</metadata>", "", svg)
    return re.sub(
        r'width="[\d.]+pt" height="[\d.]+pt"', 'style="width:100%; max-width:820px; height:auto"', svg, count=1
    )
