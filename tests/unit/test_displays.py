"""What a notebook shows, as text and as HTML, and the pictures in it."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from clew import ladder
from clew.evidence.timeline import Span
from clew.show import svg
from clew.show.display import Beside, Lines, LogDiff, Matrix, MessageXray, Source, Table, Timeline, Trail, UnifiedDiff
from clew.show.display import Words as Sentences

EVIL = "<script>alert(\"'$x$'\")</script>\x1b[2J"
STAGE_3 = ["kept", "kept", "kept", "missing", "missing"]
pytestmark = pytest.mark.usefixtures("usual_ports")


@pytest.fixture
def timed_run(run_of):
    """A run with the lines that a timeline is read from; the client sent at 1000 s."""
    lines = [
        {"ts": 1000.004, "service": "fastapi-server-2", "message": "Request completed: 201", "duration_ms": 3.0},
        {"ts": 1000.0045, "service": "nginx-loadbalancer", "message": "POST", "hop": "nginx", "request_time": 0.004},
        {"ts": 1000.006, "service": "celery-worker-1", "message": "Task tasks.calculate_var[t] received"},
        {"ts": 1000.085, "service": "celery-worker-1", "message": "VaR COMPLETE", "duration_ms": 75.2},
    ]
    return run_of("11100", STAGE_3, lines=lines)


def a_message(sent_id: str, at: str | None) -> dict:
    parts = {part: {"correlation_id": sent_id if at else "task"} for part in ("properties", "headers", "kwargs")}
    return {"queue": "high", "task_id": "task", "sent_id": sent_id, "id_at": at, "args": [], "embed": {}, **parts}


def every_display(run, text, note=None):
    trail, diff = Trail(run, note), UnifiedDiff([f"+{text}", f"-{text}", text], text, note)
    return [
        trail,
        Timeline(run, note),
        LogDiff(run, replace(run, lines=[]), note),
        LogDiff(run, run, note).unified(),
        Matrix([run], note),
        Lines(run.lines, text, note),
        MessageXray(a_message(text, "kwargs.correlation_id"), note),
        MessageXray(a_message(text, None), note),
        Sentences(f"`{text}` {text}", True, note),
        Table([text], [[text]], note, ending=text),
        diff,
        Beside(trail, diff, (text, text)),
    ]


def test_whatever_is_hostile_is_escaped_everywhere(run_of):
    lines = [{"ts": 1000.1, "service": EVIL, "message": EVIL, "correlation_id": EVIL, "request_id": EVIL}]
    run = run_of("11111", ["kept"] * 5, sent_id=EVIL, answered_id=EVIL, task_id=EVIL, folder=EVIL, lines=lines)
    run = replace(run, hops=[replace(hop, service=EVIL) for hop in run.hops], status="FAILURE", error=EVIL)
    shown = [*every_display(run, EVIL), Source(EVIL, 1, [EVIL], [1], True, EVIL)]
    for display in shown:
        html = display._repr_html_()
        assert "<script" not in html, type(display)
        assert "\x1b" not in html + repr(display), type(display)
        assert 'class="clew mathjax_ignore tex2jax_ignore"' in html, type(display)


def test_html_of_every_display_is_well_formed(timed_run):
    for display in every_display(timed_run, "MY-TRACE-123"):
        html = re.sub(r"(?s)<style>.*?</style>", "", display._repr_html_())
        ElementTree.fromstring(html.replace("<details open>", "<details>"))  # noqa: S314 - our own


def test_a_replay_says_so_in_every_display(timed_run):
    for display in every_display(timed_run, "MY-TRACE-123", "Replay of a run"):
        data, facts = display._repr_mimebundle_()
        assert data["text/plain"].startswith("Replay of a run\n\n")
        assert "▷ Replay of a run" in data["text/html"]
        assert facts["clew"]["replay"] is True
    assert Sentences("live")._repr_mimebundle_()[1]["clew"]["replay"] is False


def test_a_trail_has_the_same_words_as_text_and_as_html(run_of):
    trail = Trail(run_of("11100", STAGE_3))
    text, html = trail.text(), trail.html()

    ending = "The trail ends in queue-service: stages/03-task-service/fastapi-app/services/queue_service.py:"
    assert ending in text
    assert ending in html
    assert "○ queue-service missing" in text
    assert html.count("● kept") == 3
    assert html.count("○ missing") == 2
    assert html.count('<span class="id">MY-TRACE-123</span>') == 5  # in the title, sent, and kept by three
    assert trail.facts() == {"stage": 3, "mix": "11100", "verdicts": STAGE_3}


def test_words_have_a_shape_and_code():
    assert Sentences("Use `**_`.", ok=False).html() == '<div class="words off">○ Use <code>**_</code>.</div>'
    assert Sentences("Yes.", ok=True).text() == "● Yes."


def test_two_displays_side_by_side_have_the_checks_of_both():
    class Checked(Sentences):
        def facts(self):
            return {"checks": [self.text()], "measured": True}

    beside = Beside(Checked("left"), Checked("right"), ("a", "b"))
    assert beside.facts() == {"checks": ["left", "right"], "measured": True}
    assert Beside(Sentences("left"), Sentences("right"), ("a", "b")).facts() == {}


def test_a_matrix_counts_what_was_predicted(run_of):
    runs = [run_of("11111", ["kept"] * 5), run_of("11100", STAGE_3), run_of("01111", ["kept"] * 5)]
    matrix = Matrix(runs)

    assert matrix.text().endswith("2 of 3 as predicted by the rule; the ID reaches the worker in 2.")
    assert matrix.facts() == {"as_predicted": 2, "of": 3}
    assert [row[0] for row in matrix.rows] == ["05", "03", "01111"]


def test_only_changed_lines_of_a_log_diff_are_marked(run_of):
    lines = [{"ts": 1, "service": "celery-worker-1", "message": "VaR START", "correlation_id": None}]
    before = run_of("11110", ["kept"] * 4 + ["missing"], lines=lines)
    after = run_of("11111", ["kept"] * 5, lines=[{**lines[0], "correlation_id": "MY-TRACE-123"}])

    assert LogDiff(before, after).facts() == {"changed": 1}
    assert 'class="mono off">− celery' in LogDiff(before, after).html()
    assert 'class="mono on">+ celery' in LogDiff(before, after).html()
    assert "mono o" not in LogDiff(after, after).html()


def test_source_marks_its_lines():
    source = Source("a.py", 10, ["one", "two"], [11], fixed=False, words="Cause: `two`")

    assert source.text() == "a.py\n\n   10  one\n▶  11  two\n\nCause: `two`"
    assert '<div class="mono off">▶  11  two</div>' in source.html()


def test_bars_are_drawn_to_scale_in_the_page_s_colour():
    picture = ElementTree.fromstring(  # noqa: S314 - our own
        svg.bars([Span("client", "waits", 0, 40), Span("Redis", "holds", 20, 30), Span("worker", "works", 30, 80)])
    )
    bars = [(float(bar.get("x")[:-1]), float(bar.get("width")[:-1])) for bar in picture.findall("rect")]

    assert bars == [(0.0, 47.0), (23.5, 11.75), (35.25, 58.75)]
    assert picture.get("role") == "img"
    assert "Redis holds, from 20.0 to 30.0 ms" in picture.get("aria-label")
    assert picture.get("fill") == "currentColor"
    assert [text.text for text in picture.findall("text")[3:-1]] == ["0", "20", "40", "60", "80"]


@pytest.mark.parametrize(
    ("verdicts", "cuts"),
    [
        (["kept"] * 5, []),
        (STAGE_3, ["kept"]),
        (["replaced", *["missing"] * 4], ["kept", "replaced"]),
        (["kept", "unknown", "unknown", "missing", "missing"], ["kept"]),
    ],
)
def test_the_thread_is_cut_where_the_verdict_changes(verdicts, cuts):
    picture = ElementTree.fromstring(svg.trail(verdicts))  # noqa: S314 - our own

    kinds = {
        kind: [found.get("data-verdict") for found in picture.iter() if found.get("class") == kind]
        for kind in ("bead", "thread", "frayed")
    }
    assert kinds == {"bead": verdicts, "thread": ["kept", *verdicts[:-1]], "frayed": cuts}
    assert [text.text for text in picture.findall("text")] == list(ladder.HOPS)
    assert f"queue-service {verdicts[3]}" in picture.get("aria-label")


def test_names_in_a_picture_are_escaped():
    picture = ElementTree.fromstring(svg.bead(1, 2, "kept", hop='a"b', service="<c"))  # noqa: S314 - our own

    assert (picture.get("data-hop"), picture.get("data-service")) == ('a"b', "<c")
