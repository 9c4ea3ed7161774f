"""The site as Markdown, without MkDocs and without a browser: whatever is missing ends the build."""

from __future__ import annotations

import itertools
import json
import posixpath
import re

import click
import pytest

from clew import ladder, site
from clew.cli import cli
from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.lab import recordings as lab_recordings
from clew.site import explorer, markers, notebooks, quoting, recorded, reference, web
from taskqueue.codes import CODES


@pytest.fixture(scope="module")
def pages():
    return site.build(cli, "https://example.org/clew")


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """A copy of the recordings that a test may damage."""
    for path in lab_recordings.FOLDER.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(lab_recordings, "FOLDER", tmp_path)
    recorded.load.cache_clear()
    yield tmp_path
    recorded.load.cache_clear()


def fill(text: str, page: str = "some.md") -> str:
    return markers.fill(text, page, markers.Site(cli, "", frozenset({"index.md", "explorer.md"})))


def test_every_written_page_notebook_and_source_has_a_page(pages):
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    lessons = {f"notebooks/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")}
    layers = {f"source/stages/{stage.slug}/{layer.file}.md" for stage in ladder.STAGE_LIST for layer in ladder.LAYERS}
    assert len(lessons) >= 8
    assert written | lessons | layers | {"reference/openapi.json"} <= pages.keys()
    assert all(text.strip() for text in pages.values())


def test_no_marker_is_left(pages):
    written = [path for path in pages if not path.startswith(("source/", "notebooks/"))]
    assert not [path for path in written if re.search(r"\{\{ [a-z_]+", pages[path])]


def test_links_between_pages_lead_to_pages(pages):
    broken = []
    for path in (path for path in pages if not path.startswith("source/")):
        prose = re.sub(r"(?ms)^ *```.*?^ *```", "", pages[path])
        for target in re.findall(r"\]\((?!https?:|#)([^)#?\s]+\.md)", prose):
            wanted = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if wanted not in pages:
                broken.append(f"{path} -> {target}")
    assert not broken


def test_the_log_diff_of_every_stage_and_its_sentence_are_folded():
    shown = 0
    for page in sorted((ROOT / "docs/journey").glob("*.md")):
        paragraphs = page.read_text().split("\n\n")
        for above, paragraph in itertools.pairwise(paragraphs):
            if "{{ log_diff" in paragraph:
                shown += 1
                unfolded = [line for line in f"{above}\n{paragraph}".splitlines() if not line.startswith("    ")]
                assert not unfolded, f"{page.name}: {unfolded}"
    assert shown == 5


def test_the_repository_s_address_is_shown_where_it_is_known(pages):
    assert "git clone https://example.org/clew" in pages["index.md"]
    assert 'href="https://example.org/clew/blob/main/Makefile"' in pages["source/Makefile.md"]


def test_without_an_address_no_command_needs_one():
    told = fill("{{ first_commands }}")
    assert "Clone or copy the repository" in told and "make stage-3 up trace" in told and "git clone" not in told


def test_addresses_of_pages():
    assert web.relative("journey/stage-3.md", "index.md") == "journey/stage-3/"
    assert web.relative("explorer.md", "journey/index.md") == "../explorer/"
    assert web.relative("journey/index.md", "journey/stage-1.md") == "../"


def test_what_is_quoted_is_escaped():
    assert "&lt;b&gt;" in recorded.terminal("echo '<b>'", "<b>")
    assert "<b>" not in recorded.terminal("echo '<b>'", "<b>")
    run = recorded.stage_run(5)
    line = {"ts": run.sent_at, "service": "flower", "message": "<script>", "correlation_id": "<i>"}
    shown = recorded.log_view([line], run, "logs")
    assert "<script>" not in shown and "<i>" not in shown


def test_a_missing_file_or_region_ends_the_build():
    with pytest.raises(ClewError, match=r"no stages/06/nothing\.py"):
        quoting.text_of("stages/06/nothing.py")
    with pytest.raises(ClewError, match="no region 'nothing'"):
        quoting.region("stages/05-worker/nginx/nginx.conf", "nothing")
    with pytest.raises(ClewError, match="no region 'nothing'"):
        quoting.region("stages/05-worker/celery-worker/tasks.py", "nothing")


def test_regions_are_whole():
    path = "stages/05-worker/nginx/nginx.conf"
    first, last = quoting.region(path, "map")
    lines = quoting.text_of(path).splitlines()
    assert lines[first - 1].startswith("map $http_x_request_id")
    assert lines[last - 1] == "}" and last > first


def test_a_wrong_marker_ends_the_build_and_names_the_page():
    with pytest.raises(ClewError, match=r"some\.md: there is no marker 'nonsense'"):
        fill("{{ nonsense 1 }}")
    with pytest.raises(ClewError, match=r"some\.md: There is no stages/none"):
        fill("{{ code stages/none.py }}")
    with pytest.raises(ClewError, match=r"some\.md: .*trail"):
        fill("{{ trail }}")
    with pytest.raises(ClewError, match=r"some\.md: There is no page journey"):
        fill("{{ matrix }}")


@pytest.mark.parametrize("kind", ["stages", "lattice"])
def test_a_missing_recording_ends_the_build(recordings, kind):
    (recordings / f"{kind}.json").unlink()
    with pytest.raises(ClewError, match="Next: make record"):
        recorded.load(kind)


def test_a_missing_run_ends_the_build(recordings):
    path = recordings / "lattice.json"
    data = json.loads(path.read_text())
    data["runs"].pop()
    path.write_text(json.dumps(data))
    with pytest.raises(ClewError, match="one run for each"):
        recorded.load("lattice")


def test_a_recording_older_than_the_code_ends_the_build(recordings):
    path = recordings / "stages.json"
    data = json.loads(path.read_text())
    data["runs"][3]["ends_in"]["line"] += 1
    path.write_text(json.dumps(data))
    with pytest.raises(ClewError, match=r"older than the code.*\nNext: make record"):
        recorded.load("stages")


def test_the_explorer_s_sentences_come_with_its_data():
    run = explorer.played(recorded.entry_of("11011"), lambda path, line: f"/{path}#{line}")
    assert run["words"]["start"] == "Mix 11011: the client sends X-Request-ID: MY-TRACE-123."
    assert run["words"]["told"].startswith("Mix 11011: nginx kept, routes kept, task-service missing")
    assert run["words"]["end"] == "The trail ends in task-service: "
    assert re.fullmatch(r"/stages/00-as-found/fastapi-app/services/task_service\.py#\d+", run["words"]["url"])
    assert len(run["words"]["steps"]) == len(explorer.STEPS) == 6
    assert run["words"]["steps"][2].startswith("○ task-service in fastapi-server-")
    whole = explorer.played(recorded.entry_of("11111"), lambda path, line: "")
    assert whole["words"]["url"] == "" and "reaches the worker" in whole["words"]["end"]


def notebook(tmp_path, *cells):
    path = tmp_path / "09-test.ipynb"
    title = {"cell_type": "markdown", "source": ["# 9 · Test"]}
    path.write_text(json.dumps({"cells": [title, *cells]}))
    return path


def code(source: str, **output: object) -> dict[str, object]:
    return {"cell_type": "code", "source": [source], "outputs": [output] if output else []}


def test_a_notebook_becomes_markdown(tmp_path):
    path = notebook(tmp_path, code("print('a')", output_type="stream", text=["<a>\n", "\n", "b"]))
    text = notebooks.markdown(path)
    assert notebooks.title(path) == "9 · Test"
    assert "```python\nprint('a')\n```" in text
    assert "&lt;a&gt;&#10;&#10;b</pre>" in text


def test_a_notebook_s_outputs_that_answer_a_prediction_are_folded(tmp_path):
    def output(facts):
        return {"output_type": "execute_result", "data": {"text/html": ["<b>it</b>"]}, "metadata": {"clew": facts}}

    told = notebooks.markdown(notebook(tmp_path, code("a", **output({"verdicts": ["kept"], "replay": False}))))
    plain = notebooks.markdown(notebook(tmp_path, code("a", **output({"replay": False}))))
    assert re.search(r"<details.*<b>it</b>", told)
    assert "<details" not in plain and "<b>it</b>" in plain


def test_a_notebook_s_links_lead_to_pages():
    known = frozenset({"notebooks/01-a.md", "layers.md", "source/stages/00/x.py.md"})
    text = "[next](01-a.ipynb) [layers](../docs/layers.md#a-b) [file](../stages/00/x.py) [out](https://example.org)"
    assert notebooks.linked('<a href="01-a.ipynb#x">', "notebooks/00-b.md", known) == '<a href="../01-a/#x">'
    assert notebooks.linked(text, "notebooks/00-b.md", known) == (
        "[next](01-a.md) [layers](../layers.md#a-b) [file](../source/stages/00/x.py.md) [out](https://example.org)"
    )
    with pytest.raises(ClewError, match=r"nowhere\.md is not a page"):
        notebooks.linked("[a](nowhere.md)", "notebooks/00-b.md", known)


def test_the_reference_describes_the_commands_it_is_given():
    @click.command()
    @click.option("--often", help="How often.", envvar="OFTEN")
    def greet(often: str) -> None:
        """Greet somebody."""

    text = reference.commands(click.Group("some", {"greet": greet}))
    assert "### greet\n\nGreet somebody." in text
    assert "| `--often` | How often. | `OFTEN` |" in text


def test_every_make_target_is_in_the_reference():
    targets = re.findall(r"^([a-z%-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = reference.make_targets()
    assert len(targets) > 20
    assert not [name for name in targets if f"`{name.replace('stage-%', 'stage-N')}`" not in shown]


def test_the_page_of_error_codes_has_every_code_with_its_status() -> None:
    rows = reference.error_codes().splitlines()[2:]

    assert [row.split(" | ")[:2] for row in rows] == [[f"| `{name}`", str(code.status)] for name, code in CODES.items()]
