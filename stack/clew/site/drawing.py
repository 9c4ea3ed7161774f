"""The nine services drawn, in a wide and a tall layout, with the way of one request through them."""

from __future__ import annotations

from typing import NamedTuple

from markupsafe import Markup

from clew import ladder
from clew.evidence.trace import Run
from clew.show import svg
from clew.show.trail import described
from clew.site import web
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES, WORKERS

SERVER_HOPS = ladder.HOPS[1:4]


class Point(NamedTuple):
    x: float
    y: float


# name: (viewBox, client, {service: (x, y, width, height)})
Box = tuple[int, int, int, int]
LAYOUTS: dict[str, tuple[str, tuple[int, int], dict[str, Box]]] = {
    "wide": (
        "0 14 960 372",
        (52, 200),
        {
            NGINX: (116, 160, 152, 80),
            **{name: (308, 20 + 130 * n, 300, 100) for n, name in enumerate(API_SERVERS)},
            REDIS: (650, 160, 120, 80),
            **{name: (820, 35 + 130 * n, 130, 70) for n, name in enumerate(WORKERS)},
            FLOWER: (650, 310, 120, 60),
        },
    ),
    "tall": (
        "0 4 360 540",
        (245, 40),
        {
            NGINX: (80, 88, 200, 50),
            **{name: (4 + 119 * n, 182, 114, 172) for n, name in enumerate(API_SERVERS)},
            REDIS: (80, 398, 200, 50),
            **{name: (4 + 119 * n, 492, 114, 46) for n, name in enumerate(WORKERS)},
            FLOWER: (296, 398, 60, 50),
        },
    ),
}


def bead_places(layout: str) -> dict[str, dict[str, tuple[float, float]]]:
    """Return where each service's beads are: service -> hop -> point."""
    places = LAYOUTS[layout][2]
    if layout == "tall":  # beads next to the names: the thread runs downwards
        lone = {NGINX: "nginx", REDIS: "message", **dict.fromkeys(WORKERS, "worker")}
        return {
            **{name: {hop: (x + w - 22, y + h / 2)} for name, hop in lone.items() for x, y, w, h in [places[name]]},
            **{
                name: {hop: (places[name][0] + 15, places[name][1] + 54 + 46 * n) for n, hop in enumerate(SERVER_HOPS)}
                for name in API_SERVERS
            },
        }
    found: dict[str, dict[str, tuple[float, float]]] = {}
    x, y, w, h = places[NGINX]
    found[NGINX] = {"nginx": (x + w - 20, y + h - 24)}  # at the side: the threads leave upwards, past the name
    for name in API_SERVERS:
        x, y, w, h = places[name]
        found[name] = {hop: (x + w * (1 + 2 * n) / 6, y + h - 40) for n, hop in enumerate(SERVER_HOPS)}
    x, y, w, h = places[REDIS]
    found[REDIS] = {"message": (x + w / 2, y + h - 24)}
    for name in WORKERS:
        x, y, w, h = places[name]
        found[name] = {"worker": (x + w / 2, y + h - 22)}
    return found


def curve(start: tuple[float, float], end: tuple[float, float], layout: str, into: str = "") -> str:
    """Return a piece of thread as a path; to the message straight out of its box first, past the bead's name."""
    (x1, y1), (x2, y2) = start, end
    if layout == "wide":
        if into == "message":
            return f"M{x1:g} {y1:g}h46C{x1 + 84:g} {y1:g} {x1 + 64:g} {y2:g} {x2:g} {y2:g}"
        mx = (x1 + x2) / 2
        return f"M{x1:g} {y1:g}C{mx:g} {y1:g} {mx:g} {y2:g} {x2:g} {y2:g}"
    if into == "message":
        return f"M{x1:g} {y1:g}v30C{x1:g} {y1 + 58:g} {x2:g} {y2 - 50:g} {x2:g} {y2:g}"
    bend = y2 - y1
    return f"M{x1:g} {y1:g}C{x1:g} {y1 + 0.45 * bend:g} {x2:g} {y1 + 0.15 * bend:g} {x2:g} {y2:g}"


def pieces(layout: str) -> dict[tuple[str, str, str], str]:
    """Return every piece of thread that a request can take: (service from, service to, hop it leads into) -> path."""
    client = LAYOUTS[layout][1]
    beads = bead_places(layout)
    nginx, message = beads[NGINX]["nginx"], beads[REDIS]["message"]
    found = {("client", NGINX, "nginx"): curve(client, nginx, layout)}
    for name in API_SERVERS:
        routes, task, queue = (beads[name][hop] for hop in SERVER_HOPS)
        found[NGINX, name, "routes"] = curve(nginx, routes, layout)
        found[name, name, "task-service"] = curve(routes, task, layout)
        found[name, name, "queue-service"] = curve(task, queue, layout)
        found[name, REDIS, "message"] = curve(queue, message, layout, "message")
    for name in WORKERS:
        found[REDIS, name, "worker"] = curve(message, beads[name]["worker"], layout)
    return found


def carried_into(hop: str, verdicts: dict[str, str]) -> str:
    """Return what arrives at a hop: what the one before handed on."""
    before = {"nginx": None, "routes": "nginx", "task-service": "routes", "queue-service": "task-service"}
    previous = before.get(hop, "queue-service")
    return verdicts[previous] if previous else "kept"


def watched(places: dict[str, Box], layout: str) -> str:
    """Return the path from Redis to Flower, which watches through it."""
    (x, y, w, h), (flower_x, flower_y, flower_w, flower_h) = places[REDIS], places[FLOWER]
    if layout == "wide":
        return f"M{x + w / 2} {y + h}L{flower_x + flower_w / 2} {flower_y}"
    return f"M{x + w} {y + h / 2}L{flower_x} {flower_y + flower_h / 2}"


def shown_name(service: str, layout: str) -> str:
    """Return a service's name, without what the narrow boxes have no room for."""
    if layout == "wide" or service in (NGINX, REDIS):
        return service
    return service.replace("fastapi-server", "fastapi").replace("celery-", "")


def label_place(service: str, layout: str) -> Point:
    """Return where a service's name is: at the top of its box, or next to its only bead."""
    x, y, w, h = LAYOUTS[layout][2][service]
    if service == FLOWER:
        return Point(x + w / 2, y + h / 2 + 4)
    if layout == "wide":
        return Point(x + w / 2, y + 22)
    return Point(x + w / 2 + 14, y + 22) if service in API_SERVERS else Point(x + w / 2 - 18, y + h / 2 + 4)


def drawing(layout: str, run: Run | None) -> Markup:
    """Return one of the two drawings, with a recorded run in it, or without any."""
    view, (client_x, client_y), places = LAYOUTS[layout]
    hops = run.hops if run is not None else []
    verdicts = {hop.hop: hop.verdict for hop in hops}
    served = {**{hop.hop: hop.service for hop in hops}, **({"message": REDIS} if hops else {})}
    server, worker = served.get("routes"), served.get("worker")
    way = {("client", NGINX), (NGINX, server), (server, server), (server, REDIS), (REDIS, worker)} if hops else set()
    services = [
        {
            **dict(zip(("x", "y", "w", "h"), places[name], strict=True)),
            "name": name,
            "shown": shown_name(name, layout),
            "label": label_place(name, layout),
            "on": name in served.values(),
        }
        for name in SERVICES
    ]
    threads = [
        {
            "start": start,
            "end": end,
            "into": hop,
            "path": path,
            "carried": carried_into(hop, verdicts) if (start, end) in way else "none",
        }
        for (start, end, hop), path in pieces(layout).items()
    ]
    beads = []
    for service, points in bead_places(layout).items():
        for hop, (x, y) in points.items():
            verdict = verdicts.get("queue-service" if hop == "message" else hop, "none")
            drawn = svg.bead(x, y, verdict if served.get(hop) == service else "none", 8, hop, service)
            label = Point(x, y + 24) if layout == "wide" else Point(x + 13, y + 4)
            beads.append({"drawn": drawn, "hop": hop, "label": label if hop in SERVER_HOPS else None})
    return web.render(
        "map.svg",
        layout=layout,
        view=view,
        told=described(run.verdicts) if run is not None else "",
        watch=watched(places, layout),
        services=services,
        pieces=threads,
        beads=beads,
        ball=svg.ball(client_x, client_y, 16),
        client=Point(client_x, client_y + (34 if layout == "wide" else -22)),
    )
