"""The format file for lnav names the fields that our lines have."""

from __future__ import annotations

import json

from clew.core.lines import NUMBER_FIELDS, TEXT_FIELDS
from clew.core.paths import STACK


def test_lnav_knows_every_field_of_a_line() -> None:
    [[name, described]] = [
        item for item in json.loads((STACK / "lnav/clew.json").read_text()).items() if item[0] != "$schema"
    ]
    assert name == "clew_log"
    assert {*TEXT_FIELDS, *NUMBER_FIELDS, "service", "message"} <= set(described["value"])
    assert described["timestamp-field"] == "ts"
    assert described["opid-field"] == "correlation_id"
    shown = {part["field"] for part in described["line-format"] if isinstance(part, dict)}
    assert shown - {"__timestamp__"} <= set(described["value"])
    sample = json.loads(described["sample"][0]["line"])
    assert set(sample) - {"ts"} <= set(described["value"])
