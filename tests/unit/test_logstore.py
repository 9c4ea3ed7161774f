"""The files of the central log store, whose images are not run here: they agree with each other and with our lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from clew.evidence import sql
from clew.monitor import logstore

KINDS = {"double": "DOUBLE", "integer": "INTEGER", "keyword": "VARCHAR", "text": "VARCHAR"}


def of_yaml(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((logstore.FOLDER / name).read_text())
    return found


def test_the_generated_files_are_what_the_code_says() -> None:
    for name, text in logstore.files().items():
        again = ".venv/bin/python -c 'from clew.monitor import logstore; logstore.write()'"
        assert (logstore.FOLDER / name).read_text() == text, f"{name} is old. Next: {again}"


def test_the_template_has_the_columns_of_the_table_logs_and_their_types() -> None:
    mappings = json.loads((logstore.FOLDER / "template.json").read_text())["template"]["mappings"]
    fields = {**mappings["properties"], **mappings["runtime"]}
    assert fields.pop("@timestamp")["type"] == "date_nanos"
    line = {"ts": 1.0, "service": "nginx-loadbalancer", "message": "m"}
    with sql.of_lines([line]) as connection:
        columns = {name: kind for name, kind, *_ in connection.execute("DESCRIBE logs").fetchall()}
    assert {name: KINDS[field["type"]] for name, field in fields.items()} == columns


def test_the_shipper_sends_the_fields_of_the_template_and_parses_with_what_it_has() -> None:
    shipper = of_yaml("fluent-bit.yaml")
    filters = {one["name"]: one for one in shipper["pipeline"]["filters"]}
    assert {*filters["record_modifier"]["allowlist_key"], "@timestamp"} == {
        *logstore.template()["template"]["mappings"]["properties"]
    }
    [tail], [out] = shipper["pipeline"]["inputs"], shipper["pipeline"]["outputs"]
    assert {tail["parser"], filters["parser"]["parser"]} == {one["name"] for one in shipper["parsers"]}
    assert {one["match"] for one in (*filters.values(), out)} == {tail["tag"]}
    assert out["index"] in logstore.template()["index_patterns"]
    labels = yaml.safe_load((logstore.STACK / "compose.yaml").read_text())["x-hardened"]["logging"]["options"]["labels"]
    used = {re.findall(r"'(.+)'", filters["grep"]["regex"])[0], filters["modify"]["rename"][1].split()[0]}
    assert used == set(labels.split(",")), "what Docker writes next to each line"


def test_what_the_setup_sends_is_there_and_the_policy_is_the_templates() -> None:
    setup = (logstore.FOLDER / "setup.sh").read_text()
    sent = re.findall(r"^put (\S+) (\S+)$", setup, re.MULTILINE)
    assert dict(sent) == {
        f"_ilm/policy/{logstore.template()['template']['settings']['index.lifecycle.name']}": "ilm.json",
        f"_index_template/{logstore.NAME}": "template.json",
    }
    assert "file=@/etc/clew/dashboard.ndjson" in setup
    phases = json.loads((logstore.FOLDER / "ilm.json").read_text())["policy"]["phases"]
    assert "rollover" in phases["hot"]["actions"] and phases["delete"]["actions"] == {"delete": {}}


def test_every_reference_and_field_of_the_dashboard_is_there_and_panels_do_not_overlap() -> None:
    objects = [json.loads(line) for line in (logstore.FOLDER / "dashboard.ndjson").read_text().splitlines()]
    there = {(one["type"], one["id"]) for one in objects}
    mappings = logstore.template()["template"]["mappings"]
    known = {*mappings["properties"], *mappings["runtime"]}
    for one in objects:
        references = {reference["name"]: (reference["type"], reference["id"]) for reference in one["references"]}
        assert set(references.values()) <= there
        attributes = one["attributes"]
        source = json.loads(attributes.get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}"))
        assert source.get("indexRefName") in {None, *references}
        asked = [source.get("query", {}).get("query", ""), *queries(attributes)]
        assert {*fields(attributes), *(name for query in asked for name in re.findall(r"(\w+) :", query))} <= known
    places = json.loads(objects[-1]["attributes"]["panelsJSON"])
    assert {f"{place['panelIndex']}:{place['panelRefName']}" for place in places} == {
        reference["name"] for reference in objects[-1]["references"]
    }
    cells = [
        (place["gridData"]["x"] + x, place["gridData"]["y"] + y)
        for place in places
        for x in range(place["gridData"]["w"])
        for y in range(place["gridData"]["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 48


def aggregations(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [one["params"] for one in json.loads(attributes.get("visState", '{"aggs": []}'))["aggs"]]


def queries(attributes: dict[str, Any]) -> Iterator[str]:
    for parameters in aggregations(attributes):
        yield from (one["input"]["query"] for one in parameters.get("filters", []))


def fields(attributes: dict[str, Any]) -> list[str]:
    """Return the fields that a saved object names, except those in its queries."""
    named = [one["field"] for one in aggregations(attributes) if "field" in one]
    return [*named, *attributes.get("columns", []), *(name for name, _ in attributes.get("sort", []))]


def test_images_are_pinned_and_nothing_outside_of_this_machine_reaches_them() -> None:
    services = of_yaml("compose.yaml")["services"]
    for name, service in services.items():
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+\.\d+", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["cap_drop"] == ["ALL"] and service["mem_limit"], name
        assert "/var/run/docker.sock" not in str(service), name
    assert services["elasticsearch"]["image"].split(":")[1] == services["kibana"]["image"].split(":")[1]
