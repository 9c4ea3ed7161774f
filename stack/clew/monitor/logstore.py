"""The central log store's files as code: an index template with the fields of the table `logs`, and a dashboard.

`stack/logstore/template.json` and `stack/logstore/dashboard.ndjson` are what this returns.
"""

from __future__ import annotations

import json
from typing import Any

from clew.core.files import write_whole
from clew.core.paths import STACK
from clew.evidence.sql import FIELDS

FOLDER = STACK / "logstore"
NAME = "clew-logs"  # of the data stream, the template, the policy and the data view
TYPES = {"DOUBLE": {"type": "double"}, "INTEGER": {"type": "integer"}}
TEXTS = ("message", "exception")  # searched by word; all other texts only as a whole
BEGAN = (
    "if (doc['ts'].size() > 0) emit(doc['ts'].value - (doc['request_time'].size() > 0 ? doc['request_time'].value : 0))"
)
# When a saved object of this shape was last changed; a newer Kibana migrates it when it is imported.
MIGRATED = {"index-pattern": "8.0.0", "search": "8.0.0", "visualization": "8.5.0", "dashboard": "8.9.0"}
SOURCE = "kibanaSavedObjectMeta.searchSourceJSON.index"
COLUMNS = ["service", "hop", "correlation_id", "task_id", "duration_ms", "message"]
WIDTH, HEIGHT = 24, 14  # of a panel; Kibana's grid has 48 columns


def template() -> dict[str, Any]:
    """Return the index template of the data stream: each field of `logs` with its type, and no others."""
    properties: dict[str, Any] = {"@timestamp": {"type": "date_nanos"}, "service": {"type": "keyword"}}
    for name, kind in FIELDS.items():
        text = {"type": "text"} if name in TEXTS else {"type": "keyword", "ignore_above": 1024}
        properties[name] = TYPES.get(kind, text)
    return {
        "index_patterns": [NAME],
        "data_stream": {},
        "priority": 500,
        "template": {
            "settings": {
                "index.lifecycle.name": NAME,
                "index.number_of_replicas": 0,
                "index.mapping.ignore_malformed": True,
            },
            "mappings": {
                "dynamic": False,
                "runtime": {"began": {"type": "double", "script": {"source": BEGAN}}},
                "properties": properties,
            },
        },
    }


def dashboard() -> list[dict[str, Any]]:
    """Return the saved objects as Kibana imports them: the data view, what the panels show, and the dashboard."""
    count = aggregation(1, "count", "metric")
    panels = [
        visualization("lines", "Lines of each service", "histogram", "", HISTOGRAM, [
            count,
            aggregation(2, "date_histogram", "segment", field="@timestamp", interval="auto", min_doc_count=1),
            aggregation(3, "terms", "group", field="service", size=9, order="desc", orderBy="1"),
        ]),
        visualization("hops", "Hand-offs with and without an ID", "table", "hop : *", TABLE, [
            count,
            aggregation(2, "terms", "bucket", field="hop", size=5, order="desc", orderBy="1"),
            aggregation(3, "filters", "bucket", filters=[
                {"input": {"query": query, "language": "kuery"}, "label": label}
                for label, query in (("with an ID", "correlation_id : *"), ("without", "not correlation_id : *"))
            ]),
        ]),
        visualization("durations", "Durations in ms: median and 99 %", "table", "duration_ms : *", TABLE, [
            aggregation(1, "percentiles", "metric", field="duration_ms", percents=[50, 99]),
            aggregation(2, "terms", "bucket", field="service", size=9, order="desc", orderBy="_key"),
        ]),
        saved("search", "lines-in-order", [(SOURCE, "index-pattern", NAME)],
            title="Clew: lines in order",
            columns=COLUMNS,
            sort=[["ts", "asc"]],
            kibanaSavedObjectMeta=source(""),
        ),
    ]  # fmt: skip
    view = saved("index-pattern", NAME, [], title=NAME, name="Clew: nine logs", timeFieldName="@timestamp")
    places = [
        {
            "type": panel["type"],
            "gridData": {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT, "i": str(number)},
            "panelIndex": str(number),
            "panelRefName": f"panel_{number}",
            "embeddableConfig": {"enhancements": {}},
        }
        for number, panel in enumerate(panels)
    ]
    whole = saved(
        "dashboard",
        "clew",
        [(f"{number}:panel_{number}", panel["type"], panel["id"]) for number, panel in enumerate(panels)],
        title="Clew: nine services and a trail",
        panelsJSON=json.dumps(places),
        optionsJSON=json.dumps({"useMargins": True}),
        timeRestore=True,
        timeFrom="now-15m",
        timeTo="now",
        refreshInterval={"pause": False, "value": 5000},
        kibanaSavedObjectMeta={
            "searchSourceJSON": json.dumps({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
    )
    return [view, *panels, whole]


def saved(kind: str, identity: str, references: list[tuple[str, str, str]], **attributes: Any) -> dict[str, Any]:
    """Return a saved object; each reference is its name, and the type and the ID of what it leads to."""
    return {
        "type": kind,
        "id": identity,
        "attributes": attributes,
        "references": [{"name": one, "type": of, "id": to} for one, of, to in references],
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": MIGRATED[kind],
    }


def source(query: str) -> dict[str, str]:
    """Return where an object gets its lines from: those of the data view that a query in KQL selects."""
    wanted = {"query": {"query": query, "language": "kuery"}, "filter": [], "indexRefName": SOURCE}
    return {"searchSourceJSON": json.dumps(wanted)}


def visualization(
    name: str, title: str, kind: str, query: str, parameters: dict[str, Any], aggregations: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a visualization of aggregations of those lines that a query in KQL selects."""
    state = {"title": title, "type": kind, "params": {"type": kind, **parameters}, "aggs": aggregations}
    return saved(
        "visualization",
        name,
        [(SOURCE, "index-pattern", NAME)],
        title=title,
        visState=json.dumps(state),
        uiStateJSON="{}",
        kibanaSavedObjectMeta=source(query),
    )


def aggregation(number: int, kind: str, schema: str, **parameters: Any) -> dict[str, Any]:
    """Return one aggregation of a visualization; `schema` is what it is for: metric, bucket, segment or group."""
    return {"id": str(number), "enabled": True, "type": kind, "schema": schema, "params": parameters}


TABLE = {
    "perPage": 10,
    "showPartialRows": False,
    "showMetricsAtAllLevels": False,
    "showTotal": False,
    "totalFunc": "sum",
}
HISTOGRAM = {
    "grid": {"categoryLines": False},
    "categoryAxes": [
        {"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True, "scale": {"type": "linear"},
         "labels": {"show": True, "filter": True, "truncate": 100}, "title": {}, "style": {}}
    ],
    "valueAxes": [
        {"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": True, "style": {},
         "scale": {"type": "linear", "mode": "normal"}, "labels": {"show": True, "rotate": 0, "filter": False,
         "truncate": 100}, "title": {"text": "lines"}}
    ],
    "seriesParams": [
        {"show": True, "type": "histogram", "mode": "stacked", "data": {"label": "lines", "id": "1"},
         "valueAxis": "ValueAxis-1", "drawLinesBetweenPoints": True, "lineWidth": 2, "showCircles": True}
    ],
    "addTooltip": True,
    "addLegend": True,
    "legendPosition": "right",
    "times": [],
    "addTimeMarker": False,
    "labels": {"show": False},
    "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
}  # fmt: skip


def files() -> dict[str, str]:
    """Return the text of each generated file by its name."""
    return {
        "template.json": json.dumps(template(), indent=2) + "\n",
        "dashboard.ndjson": "".join(f"{json.dumps(one)}\n" for one in dashboard()),
    }


def write() -> None:
    """Write the generated files."""
    for name, text in files().items():
        write_whole(FOLDER / name, text)
