"""A load for real: Locust sends it, and every acknowledged ID is in a worker's log."""

from __future__ import annotations

import json
from pathlib import Path

from up import Up, start


def test_every_acknowledged_id_of_a_load_is_in_a_workers_log(stage_5: Up) -> None:
    with start("load", "5", "--name", "slow", "--seconds", "3", "--json") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found = json.loads(out)
    assert found["sent"] == 180 and sum(found["statuses"].values()) == 180
    assert found["found"] == found["acknowledged"] > 0 and found["missing"] == []
    report = Path(found["report"]).read_text()
    assert "slow client" in report and "<script src=" not in report
