"""The build ends when something that it shows is not there."""

import sys

import pytest

from clew.core.paths import ROOT

sys.path.insert(0, str(ROOT / "docs/hooks"))


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """A copy of the recordings that may be damaged."""
    import recorded

    from clew.lab import record

    for path in record.FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    recorded.load.cache_clear()
    yield tmp_path
    recorded.load.cache_clear()


def test_a_missing_file_or_region_ends_the_build():
    import quoting
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match=r"no stages/06/nothing\.py"):
        quoting.text_of("stages/06/nothing.py")
    with pytest.raises(PluginError, match="no region 'nothing'"):
        quoting.region("stages/05-worker/nginx/nginx.conf", "nothing")
    with pytest.raises(PluginError, match="no region 'nothing'"):
        quoting.region("stages/05-worker/celery-worker/tasks.py", "nothing")


def test_regions_are_whole():
    import quoting

    path = "stages/05-worker/nginx/nginx.conf"
    first, last = quoting.region(path, "map")
    lines = quoting.text_of(path).splitlines()
    assert lines[first - 1].startswith("map $http_x_request_id")
    assert lines[last - 1] == "}" and last > first


@pytest.mark.parametrize("kind", ["stages", "lattice"])
def test_a_missing_recording_ends_the_build(recordings, kind):
    import recorded
    from mkdocs.exceptions import PluginError

    (recordings / f"{kind}.json").unlink()
    with pytest.raises(PluginError, match="make record"):
        recorded.load(kind)


def test_a_missing_run_ends_the_build(recordings):
    import json

    import recorded
    from mkdocs.exceptions import PluginError

    path = recordings / "lattice.json"
    data = json.loads(path.read_text())
    data["runs"].pop()
    path.write_text(json.dumps(data))
    with pytest.raises(PluginError, match="one run for each"):
        recorded.load("lattice")


def test_an_unknown_marker_ends_the_build():
    from types import SimpleNamespace

    import clew_site
    from mkdocs.exceptions import PluginError

    page = SimpleNamespace(file=SimpleNamespace(src_uri="some.md", generated_by=None))
    config = SimpleNamespace(extra={"repository": ""})
    with pytest.raises(PluginError, match="nothing called 'nonsense'"):
        clew_site.on_page_markdown("{{ nonsense 1 }}", page, config, None)
    with pytest.raises(PluginError, match=r"some\.md: There is no stages/none"):
        clew_site.on_page_markdown("{{ code stages/none.py }}", page, config, None)


def test_a_recording_older_than_the_code_ends_the_build(recordings):
    import json

    import recorded
    from mkdocs.exceptions import PluginError

    path = recordings / "stages.json"
    data = json.loads(path.read_text())
    data["runs"][3]["ends_in"]["line"] += 1
    path.write_text(json.dumps(data))
    with pytest.raises(PluginError, match="which has changed: make record"):
        recorded.load("stages")
