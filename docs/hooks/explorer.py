"""The explorer: nine services drawn, and the recorded run of every mix as data for its script."""

from __future__ import annotations

import html
import json
from typing import Any

import pictures
import recorded
from mkdocs.exceptions import PluginError

from clew import ladder
from clew.core.marks import BEADS
from clew.evidence import logs
from clew.lab import record
from clew.stacks.services import API_SERVERS, FLOWER, NGINX, REDIS, SERVICES, WORKERS

STILL = 3  # the stage that is drawn before, or without, JavaScript
SHOWN = ("kept", "replaced", "missing")
SERVER_HOPS = ladder.HOPS[1:4]

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
    if layout == "tall":  # beads beside the names: the thread runs downwards
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
    """Return the line by which Flower watches: through Redis."""
    (x, y, w, h), (flower_x, flower_y, flower_w, flower_h) = places[REDIS], places[FLOWER]
    if layout == "wide":
        return f'<path class="watch" d="M{x + w / 2} {y + h}L{flower_x + flower_w / 2} {flower_y}"/>'
    return f'<path class="watch" d="M{x + w} {y + h / 2}L{flower_x} {flower_y + flower_h / 2}"/>'


def shown_name(service: str, layout: str) -> str:
    """Return a service's name, without what the narrow boxes have no room for."""
    if layout == "wide" or service in (NGINX, REDIS):
        return service
    return service.replace("fastapi-server", "fastapi").replace("celery-", "")


def label_place(service: str, layout: str) -> tuple[float, float]:
    """Return where a service's name stands: at the top of its box, or beside its only bead."""
    x, y, w, h = LAYOUTS[layout][2][service]
    if service == FLOWER:
        return x + w / 2, y + h / 2 + 4
    if layout == "wide":
        return x + w / 2, y + 22
    return (x + w / 2 + 14, y + 22) if service in API_SERVERS else (x + w / 2 - 18, y + h / 2 + 4)


def drawing(layout: str, entry: dict[str, Any]) -> str:
    """Return one of the two drawings with a recorded run already in it."""
    view, (client_x, client_y), places = LAYOUTS[layout]
    verdicts = {hop["hop"]: hop["verdict"] for hop in entry["hops"]}
    served = {**{hop["hop"]: hop["service"] for hop in entry["hops"]}, "message": REDIS}
    server, worker = served["routes"], served["worker"]
    way = {("client", NGINX), (NGINX, server), (server, server), (server, REDIS), (REDIS, worker)}
    parts = [watched(places, layout)]
    for name in SERVICES:
        x, y, w, h = places[name]
        label_x, label_y = label_place(name, layout)
        parts.append(
            f'<g class="service" data-service="{name}" data-state="{"on" if name in served.values() else "off"}">'
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="10"/>'
            f'<text x="{label_x:g}" y="{label_y:g}">{shown_name(name, layout)}</text></g>'
        )
    for (start, end, hop), path in pieces(layout).items():
        state = carried_into(hop, verdicts) if (start, end) in way else "none"
        parts.append(
            f'<path class="thread" data-from="{start}" data-to="{end}" data-into="{hop}" data-verdict="{state}" '
            f'd="{path}"/>'
        )
    parts.append(pictures.ball(client_x, client_y, 16))
    client_label_y = client_y + (34 if layout == "wide" else -22)
    parts.append(f'<text class="client" x="{client_x}" y="{client_label_y}">client</text>')
    for service, beads in bead_places(layout).items():
        for hop, (x, y) in beads.items():
            verdict = verdicts["queue-service" if hop == "message" else hop]
            state = verdict if served[hop] == service else "none"
            parts.append(pictures.bead(x, y, state, 8, hop).replace("<g ", f'<g data-service="{service}" ', 1))
            if hop in SERVER_HOPS:
                below = f'x="{x:g}" y="{y + 24:g}"'
                beside = f'x="{x + 13:g}" y="{y + 4:g}" style="text-anchor: start"'
                parts.append(f'<text class="hop" {below if layout == "wide" else beside}>{hop}</text>')
    told = pictures.told(list(verdicts.values()))
    parts.append('<g class="parcel" hidden><circle r="6"/></g>')
    return (
        f'<svg class="map {layout}" viewBox="{view}" role="img" '
        f'aria-label="The nine services, and the way of one request through them. {told}">'
        f"{''.join(parts)}</svg>"
    )


def trimmed(entry: dict[str, Any], source_url: Any) -> dict[str, Any]:
    """Return what the script needs of a recorded run."""
    lines = [
        {
            "ms": max(0.0, round((line["ts"] - entry["sent_at"]) * 1000, 1)),
            "shown": recorded.shown_ms(line, entry["sent_at"]),
            **{key: value for key, value in line.items() if key in recorded.FIELDS or key == "service"},
            "message": str(line["message"]).split(": {")[0].replace(entry["task_id"], entry["task_id"][:8] + "…"),
        }
        for line in logs.in_order(entry["lines"])
    ]
    end = entry["ends_in"]
    if end:
        layer = next(layer for layer in ladder.LAYERS if layer.hop == end["hop"])
        # A mix is made of the two written ends: its broken layers are stage 0's files, byte for byte.
        folder = entry["folder"] if entry["stage"] is not None else f"stages/{ladder.AS_FOUND.slug}"
        path = f"{folder}/{layer.file}"
        end = {"hop": end["hop"], "file": path, "line": end["line"], "url": source_url(path, end["line"])}
    found = entry["message"]
    return {
        "mix": entry["mix"],
        "id": entry["sent_id"],
        "answered": entry["answered_id"],
        "task": entry["task_id"],
        "status": entry["status"],
        "ms": round(entry["answered_ms"], 1),
        "taskMs": entry["task_ms"],
        "result": round(entry["result"]["var_amount"], 2),
        "hops": [
            {key: getattr(hop, key) for key in ("hop", "verdict", "id", "service", "ms", "shown_ms")}
            for hop in record.run_of(entry).hops
        ],
        "lines": lines,
        "end": end,
        "message": {key: found[key] for key in ("queue", "properties", "headers", "args", "kwargs", "embed")},
        "idAt": found["id_at"],
    }


def page(source_url: Any) -> str:
    """Return the explorer as HTML: usable as a still picture, with the data that its script plays."""
    still = recorded.entry_of(ladder.stage(STILL).mix)
    end = trimmed(still, source_url)["end"]
    if end is None:
        raise PluginError(f"Stage {STILL} loses nothing: it makes no still picture.")
    run = record.run_of(still)
    switches = "".join(
        f'<label><input type="checkbox" role="switch" data-layer="{n}"{" checked" if n < STILL else ""}>'
        f"<span>{hop}</span></label>"
        for n, hop in enumerate(ladder.HOPS)
    )
    data = [trimmed(recorded.entry_of(mix), source_url) for mix in sorted(ladder.all_mixes())]
    titles = [stage.title for stage in ladder.STAGE_LIST]
    payload = json.dumps({"titles": titles, "runs": data}, ensure_ascii=False, separators=(",", ":"))
    steps = "".join(f'<option value="{n}"></option>' for n in range(len(titles)))
    legend = " ".join(f'<span class="{verdict}">{BEADS[verdict]} {verdict}</span>' for verdict in SHOWN)
    body = html.escape(json.dumps({"kwargs": still["message"]["kwargs"]}, indent=2))
    return f"""<div class="explorer" data-search-exclude>
<div class="controls" hidden>
<fieldset><legend>Fixed layers</legend><div class="switches">{switches}</div></fieldset>
<div class="slider"><label for="stage">Stage <output id="stage-name">{STILL} · {titles[STILL]}</output></label>
<input id="stage" type="range" min="0" max="{len(titles) - 1}" value="{STILL}" list="stages">
<datalist id="stages">{steps}</datalist></div>
<div class="buttons"><button type="button" id="play" class="md-button md-button--primary">Play</button>
<button type="button" id="back" class="md-button">Back</button>
<button type="button" id="step" class="md-button">Step</button>
<a id="share" class="md-button" href="?mix={still["mix"]}">Link to this mix</a></div>
</div>
<div class="result">
<div role="status" aria-live="polite"><p id="told">Stage {STILL}: {pictures.in_words(run.verdicts)}</p>
<p id="end">The trail ends in <strong>{end["hop"]}</strong>:
<a href="{end["url"]}"><code>{end["file"]}:{end["line"]}</code></a>.</p></div>
<p class="legend">{legend}</p>
</div>
<div class="stage-map">{drawing("wide", still)}{drawing("tall", still)}</div>
<p id="answer"></p>
<h2 id="log-lines">Log lines</h2>
<div id="log">{recorded.log_view(run.lines, run, "all nine logs, this request")}</div>
<h2 id="the-message-in-redis">The message in Redis</h2>
<details id="message">
<summary id="message-summary">The ID is nowhere in the message; its place would be kwargs.correlation_id</summary>
<p>The message of a second request with the same ID and the same layers: looked at while no worker was consuming.</p>
<pre tabindex="0" role="region" aria-label="The message, decoded" id="message-body">{body}</pre></details>
<script type="application/json" id="runs">{payload.replace("</", chr(60) + chr(92) + "/")}</script>
</div>"""
