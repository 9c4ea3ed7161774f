"""Reading logs: whatever a service writes, or a `print` that a learner added, is shown and never ends the tool."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.core.lines import Line, parse_line
from clew.evidence import logs

GOOD = {"ts": 1000.5, "level": "INFO", "service": "fastapi-server-1", "message": "m", "correlation_id": None}


class Logs:
    """A driver of which only the logs are asked."""

    def __init__(self, **texts: list[str]) -> None:
        self.texts = {service.replace("_", "-"): lines for service, lines in texts.items()}

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        return self.texts


def read(since: float | None = None, **texts: list[str]) -> list[Line]:
    return logs.read(Logs(**texts), since)  # type: ignore[arg-type]


def test_a_line_of_our_services_is_taken_field_by_field() -> None:
    assert parse_line("fastapi-server-1", json.dumps(GOOD)) == GOOD


def test_a_line_belongs_to_the_service_that_wrote_it() -> None:
    assert parse_line("celery-worker-2", json.dumps(GOOD))["service"] == "celery-worker-2"
    assert parse_line("celery-worker-2", '{"ts": 1, "message": "m"}')["service"] == "celery-worker-2"


@pytest.mark.parametrize(
    "text",
    [
        '{"message": "no time"}',
        '{"ts": 1000.5}',
        '{"ts": "1000.5", "message": "a text as time"}',
        '{"ts": true, "message": "m"}',
        '{"ts": null, "message": "m"}',
        '{"ts": NaN, "message": "m"}',
        '{"ts": Infinity, "message": "m"}',
        '{"ts": 1e999, "message": "m"}',
        '{"ts": 1e300, "message": "m"}',
        '{"ts": -1, "message": "m"}',
        '{"ts": 1' + "0" * 5000 + ', "message": "m"}',
        '{"ts": 1, "message": 7}',
        '{"ts": 1, "message": null}',
        '{"ts": 1, "message": "m", "hop": ["nginx"]}',
        '{"ts": 1, "message": "m", "hop": 1}',
        '{"ts": 1, "message": "m", "correlation_id": 7}',
        '{"ts": 1, "message": "m", "task_id": {"a": 1}}',
        '{"ts": 1, "message": "m", "at": 12}',
        '{"ts": 1, "message": "m", "level": 30}',
        '{"ts": 1, "message": "m", "request_time": "0.01"}',
        '{"ts": 1, "message": "m", "duration_ms": "soon"}',
        '{"ts": 1, "message": "m", "duration_ms": null}',
        '{"ts": 1, "message": "m", "other": 1e999}',
        '{"ts": 1, "message": "m", "other": ' + "[" * 600 + "]" * 600 + "}",
        '{"ts": 1, "message": "m", "other": ' + "[" * 100_000 + "]" * 100_000 + "}",
        r'{"ts": 1, "message": "lone \ud800"}',
        r'{"ts": 1, "message": "m", "\udfff": "a key"}',
        "99:M 99 Foo 2026 25:61:61.000 * not a time",
        "2026/99/99 99:99:99 not a time",
        "0001/01/01 00:00:00 before the epoch",
        '["no", "object"]',
        "null",
        "{",
        "\x00\x1b[31m\udcff",
    ],
)
def test_any_other_line_is_shown_as_text_under_its_service(text: str) -> None:
    assert parse_line("flower", text) == {"service": "flower", "message": text}

    found = read(flower=[json.dumps(GOOD), text, json.dumps({**GOOD, "ts": 1002.0})])

    assert [line["message"] for line in found] == ["m", text, "m"]
    assert found[1] == {"service": "flower", "message": text, "ts": 1000.5, "level": "INFO"}
    json.dumps(found)


def test_lines_of_redis_and_nginx_tell_their_time() -> None:
    redis = parse_line("redis-broker", "7:M 23 Nov 2026 18:46:25.764 * Ready")
    nginx = parse_line("nginx-loadbalancer", "2026/11/23 18:46:25 [error] 7#7: no live upstreams")

    assert redis == {"ts": 1795459585.764, "service": "redis-broker", "message": "Ready"}
    assert nginx["ts"] == 1795459585
    assert nginx["message"] == "[error] 7#7: no live upstreams"


def test_lines_before_the_wanted_time_are_left_out() -> None:
    old, new = json.dumps({**GOOD, "ts": 5.0}), json.dumps({**GOOD, "ts": 6.0})

    assert [line["ts"] for line in read(6.0, flower=[old, "after the old one", new, "after the new one"])] == [6.0, 6.0]


def message_of(text: str) -> Line:
    return {"ts": 1, "service": "a", "message": text}


@pytest.mark.parametrize(
    "text",
    ["a", "task a", "Task t[a] received", "for a.", "GET /tasks/a", "a: b", "it was a...", '"a"', "a\u00e9"],
)
def test_searching_finds_a_whole_id_in_a_text(text: str) -> None:
    assert logs.with_id([message_of(text)], "a") == [message_of(text)]


@pytest.mark.parametrize("text", ["task", "a-1", "1-a", "a_b", "a.b", "x.a", "aa", "", "A"])
def test_searching_does_not_find_parts_of_other_ids(text: str) -> None:
    assert logs.with_id([message_of(text)], "a") == []


def test_searching_takes_no_id_for_a_pattern() -> None:
    assert logs.with_id([message_of("axb"), message_of("a.b")], "a.b") == [message_of("a.b")]


def test_searching_finds_an_id_in_each_id_field() -> None:
    lines = [{**message_of("x"), field: "ID-1"} for field in ("request_id", "correlation_id", "task_id", "queue")]

    assert logs.with_id(lines, "ID-1") == lines[:3]


WORD = st.sampled_from(["ID-1", "ID-12", "\u0049D-1", "no", "\u00e9", 'a "ID-1"'])
JSON_LINE = st.builds(
    lambda fields, ascii: json.dumps(fields, ensure_ascii=ascii),
    st.fixed_dictionaries({"message": WORD}, optional={"ts": st.integers(0, 9), "task_id": WORD, "level": WORD}),
    st.booleans(),
)
ODD_LINE = st.sampled_from(["", "  ", "no JSON ID-1", '{"ts": 3, "message": "\\u0049D-1"}', "2026/11/24 10:00:00 ID-1"])


@given(
    texts=st.dictionaries(st.sampled_from(["a", "b"]), st.lists(JSON_LINE | ODD_LINE, max_size=8)),
    wanted=st.sampled_from(["ID-1", "ID-12", "no", "D-1", 'a "ID-1"', "\u00e9"]),
)
def test_a_search_finds_what_reading_everything_finds(texts: dict[str, list[str]], wanted: str) -> None:
    assert logs.search(Logs(**texts), wanted) == logs.with_id(read(**texts), wanted)  # type: ignore[arg-type]
