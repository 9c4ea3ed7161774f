"""The space-time diagram of a drill: services are columns, time runs downwards.

It shows the faults, and the trail of one request that they affected. Between two events that follow each other the
distance grows with the time between them, within limits: what happens in a millisecond can be read, and a minute fits.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from clew.core.marks import COLOURS
from clew.core.text import printable
from clew.drills.model import Fault, Result
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES, WORKERS

COLUMNS = ("client", *SERVICES)
SHORT_NAMES = {
    "client": "client",
    NGINX: "nginx",
    **{server: f"API {number}" for number, server in enumerate(API_SERVERS, 1)},
    REDIS: "Redis",
    **{worker: f"worker {number}" for number, worker in enumerate(WORKERS, 1)},
    FLOWER: "Flower",
}
LEFT, COLUMN, TOP, TEXT = 70, 78, 64, 470
NEAREST, FARTHEST, PER_SECOND = 18.0, 60.0, 24.0
MOST_FAULTS = 12
AROUND_SECONDS = 3.0
WORDS = {"kill": ("killed", "started"), "stop": ("stopped", "started"), "pause": ("frozen", "continues")}
TASK_ID = re.compile(r"\[[0-9a-f-]{36}\]")  # the whole diagram is about one task
STYLE = f"""
.spacetime {{font:12px sans-serif; color:#222; background:#fff}}
.spacetime text {{fill:currentColor}}
.spacetime .axis {{stroke:#bbb; stroke-width:1}}
.spacetime .thread {{fill:none; stroke:{COLOURS["kept"]}; stroke-width:2}}
.spacetime .answer {{stroke-dasharray:3 4}}
.spacetime .event {{fill:{COLOURS["kept"]}}}
.spacetime .fault {{stroke:{COLOURS["missing"]}; stroke-width:8; stroke-linecap:butt; opacity:.75}}
.spacetime .told {{fill:{COLOURS["missing"]}}}
.spacetime .time {{text-anchor:end; fill:#666}}
.spacetime .name {{text-anchor:middle; font-weight:bold}}
"""


@dataclass(frozen=True)
class Event:
    """What happened `at` seconds after the drill began: a fault's beginning or end, or a step of the trail."""

    at: float
    service: str
    text: str
    of_fault: bool = False


def drawing(result: Result) -> Markup:
    """Return the diagram of a run as an SVG document that fetches nothing."""
    trail = [
        Event(line["ts"] - result.began, line["service"], str(line["message"]))
        for line in result.trail
        if line["service"] in COLUMNS
    ]
    faults = nearest(result.faults, result.began, trail)
    events = sorted([*trail, *ends_of(faults, result.began)], key=lambda event: event.at)
    ys = heights([event.at for event in events])
    bottom = max([TOP, *ys]) + 30
    y_of = dict(zip(events, ys, strict=True))
    there, back = threads([event for event in events if not event.of_fault])
    parts = [
        *columns(bottom),
        *bars(faults, result.began, y_of, bottom),
        *(polyline("thread", [(x_of(event.service), y_of[event]) for event in one]) for one in there),
        *(polyline("thread answer", [(x_of(event.service), y_of[event]) for event in one]) for one in back),
        *(told(event, y_of[event]) for event in events),
    ]
    width = LEFT + COLUMN * len(COLUMNS) + TEXT
    title = f"{result.name}, {result.on}, seed {result.seed}: {result.verdict}"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="spacetime" viewBox="0 0 {0} {1:g}" width="{0}" height="{1:g}" '
        'role="img" aria-label="{2}"><style>{3}</style><text x="{4}" y="20" font-weight="bold">{2}</text>{5}</svg>\n'
    ).format(width, bottom + 20, title, Markup(STYLE), LEFT, Markup("").join(parts))  # noqa: S704 - our own style


def x_of(service: str) -> float:
    return LEFT + COLUMN * (COLUMNS.index(service) + 0.5)


def nearest(faults: Iterable[Fault], began: float, trail: Sequence[Event]) -> list[Fault]:
    """Return the faults to draw: those around the trail, else the first ones."""
    found = list(faults)
    if trail:
        first, last = trail[0].at - AROUND_SECONDS, trail[-1].at + AROUND_SECONDS
        around = [f for f in found if f.began - began <= last and (f.ended or f.began) - began >= first]
        found = around or found
    return found[:MOST_FAULTS]


def ends_of(faults: Iterable[Fault], began: float) -> list[Event]:
    events = []
    for fault in faults:
        begun, ended = WORDS.get(fault.kind, (fault.kind, ""))
        events.append(Event(fault.began - began, fault.service, f"{fault.service} {begun}", True))
        if ended and fault.ended is not None:
            events.append(Event(fault.ended - began, fault.service, f"{fault.service} {ended}", True))
    return events


def heights(times: Sequence[float]) -> list[float]:
    """Return how far down each of these moments, in time order, is drawn."""
    steps = (min(max((b - a) * PER_SECOND, NEAREST), FARTHEST) for a, b in itertools.pairwise(times))
    return list(itertools.accumulate(steps, initial=TOP + NEAREST)) if times else []


def threads(events: Sequence[Event]) -> tuple[list[list[Event]], list[list[Event]]]:
    """Return the ways there, each of which begins with an attempt of the client, and the answers' ways back."""
    there: list[list[Event]] = [[]]
    back: list[list[Event]] = []
    for event in events:
        if event.service == "client" and event.text.startswith("answer"):
            passed = [one for one in events if one.service == NGINX and one.at <= event.at]
            back.append([*passed[-1:], event])
        elif event.service == "client":
            there.append([event])
        elif event.service != NGINX:  # which logs a request at its end
            there[-1].append(event)
    return there, back


def columns(bottom: float) -> list[Markup]:
    return [
        Markup('<text class="name" x="{0:g}" y="{1}">{2}</text><path class="axis" d="M{0:g} {3}V{4:g}"/>').format(
            x_of(name), TOP - 14, SHORT_NAMES[name], TOP - 6, bottom
        )
        for name in COLUMNS
    ]


def bars(faults: Iterable[Fault], began: float, y_of: dict[Event, float], bottom: float) -> list[Markup]:
    """Return a bar for each fault, from its beginning to where it was healed."""
    parts = []
    for fault in faults:
        events = [event for event in ends_of([fault], began) if event in y_of]
        top = y_of[events[0]]
        end = y_of[events[1]] if len(events) > 1 else (bottom if fault.ended is None else top + 8)
        x = x_of(fault.service)
        parts.append(Markup('<path class="fault" d="M{0:g} {1:g}V{2:g}"/>').format(x, top, max(end, top + 8)))
    return parts


def polyline(kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, path) if len(points) > 1 else Markup("")


def told(event: Event, y: float) -> Markup:
    """Return an event's time on the left, its words on the right, and its bead if it is the request's."""
    text = TASK_ID.sub("", printable(event.text))
    text = text if len(text) <= 68 else f"{text[:67]}…"
    bead = Markup("") if event.of_fault else Markup('<circle class="event" cx="{:g}" cy="{:g}" r="4"/>').format(
        x_of(event.service), y
    )  # fmt: skip
    return Markup(
        '{}<text class="time" x="{}" y="{:g}">{:.3f} s</text><text class="{}" x="{}" y="{:g}">{}</text>'
    ).format(
        bead, LEFT - 8, y + 4, event.at, "told" if event.of_fault else "", LEFT + COLUMN * len(COLUMNS) + 8, y + 4, text
    )
