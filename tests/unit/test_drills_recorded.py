"""The recorded results of drills, and the site's table of them."""

import json

import pytest

from clew.core.errors import ClewError
from clew.drills import recorded
from clew.drills.book import DRILLS
from clew.drills.model import Check, Result
from clew.site import drilled


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "FOLDER", tmp_path / "results")
    return tmp_path / "results"


def found(tmp_path, name="herd", on="durable", verdict="held", checks=(), unknown=(), short=False):
    return Result(
        name=name, on=on, seed=7, driver="local", short=short, claim="", should=(), stock="", verdict=verdict,
        unknown=list(unknown), checks=list(checks), counts={"requests": 1000}, faults=[], notes={}, trail=[],
        began=0.0, seconds=3.0, folder=tmp_path,
    )  # fmt: skip


def test_the_table_has_every_drill_and_says_what_was_not_recorded():
    rows = drilled.table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(DRILLS)
    assert all(row.count("not recorded yet") == 2 for row in rows)


def test_a_result_is_shown_where_it_belongs_and_a_newer_one_replaces_it(tmp_path, folder):
    recorded.record(found(tmp_path, verdict="broken", checks=[Check("lost", "0", "3", False)]))
    recorded.record(found(tmp_path))
    recorded.record(found(tmp_path, on="stock", verdict="broken", checks=[Check("a|b<c", "0", "3", False)], short=True))
    assert sorted(path.name for path in folder.iterdir()) == ["herd-durable.json", "herd-stock.json"]
    row = next(row for row in drilled.table().splitlines() if row.startswith("| `herd`"))
    _, durable, stock = row.rsplit(" | ", 2)
    assert durable == "**held**<br>(1,000 requests, seed 7, local, 1970-01-01)"
    assert stock == "**broken**: a\\|b&lt;c: 3<br>(short form, 1,000 requests, seed 7, local, 1970-01-01) |"


def test_an_unknown_result_says_why_and_how_many_reasons_there_are(tmp_path):
    failed = [Check("p99", "1", "2", False)]
    recorded.record(found(tmp_path, verdict="unknown", checks=failed, unknown=["one", "two", "three"]))
    assert "**unknown**: one; two; 1 more<br>" in drilled.table()


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "herd"}'])
def test_a_broken_file_is_refused(folder, text):
    folder.mkdir()
    (folder / "herd-durable.json").write_text(text)
    with pytest.raises(ClewError, match=r"herd-durable\.json"):
        recorded.results()


def test_a_result_of_a_drill_that_is_gone_is_refused(tmp_path, folder):
    path = recorded.record(found(tmp_path))
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "no-such-drill"}))
    with pytest.raises(ClewError, match="no-such-drill"):
        drilled.table()
