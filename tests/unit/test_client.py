"""The client: every answer that an API, or something in its place, can give is an answer or a clear error."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from clew.core.errors import ClewError
from clew.evidence import client
from clew.stacks.stack import stage_stack

Handler = Callable[[httpx.Request], httpx.Response]
ServedBy = Callable[[Handler], None]


@pytest.fixture
def served_by(monkeypatch: pytest.MonkeyPatch) -> ServedBy:
    """Have a function answer in place of the API."""

    def serve(handler: Handler) -> None:
        transport = httpx.MockTransport(handler)
        base = "http://fake"
        monkeypatch.setattr(client, "_client", lambda *_: httpx.Client(transport=transport, base_url=base))

    return serve


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "not JSON"),
        ('{"a": [NaN]}', "not JSON"),
        ('{"a": 1e999}', "not JSON compliant"),
        ('{"a": -Infinity}', "not JSON"),
        (r'{"a": "\ud800"}', "surrogates not allowed"),
        ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
        ("null", "'null', not an object"),
        ("[]", "not an object"),
        ("{", "Expecting property name"),
    ],
)
def test_data_that_cannot_be_sent_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        client.parsed_data(text)


def test_data_that_can_be_sent() -> None:
    assert client.parsed_data('{"a": [1.5, "ü", null]}') == {"a": [1.5, "ü", None]}


def test_an_id_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(ClewError, match="not valid UTF-8"):
        client.send(stage_stack(3), "\udcff")


@pytest.mark.parametrize("content", [b"<html>", b"", b"[1]", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_not_a_json_object_is_shown_as_text(served_by: ServedBy, content: bytes) -> None:
    served_by(lambda request: httpx.Response(502, content=content))

    answer = client.send(stage_stack(3), "MINE")

    assert answer.body.keys() == {"detail"}
    with pytest.raises(ClewError, match="Stage 3 answered 502"):
        client.send_task(stage_stack(3))
    assert client.ask(stage_stack(3), "GET", "task-1")["body"].keys() == {"detail"}


@pytest.mark.parametrize("errors", [None, "text", [1], [{}], [{"field": "body.data", "message": "is missing"}]])
def test_a_refusal_names_what_the_api_complains_about(served_by: ServedBy, errors: object) -> None:
    served_by(lambda request: httpx.Response(422, json={"detail": "Invalid", "errors": errors}))

    with pytest.raises(ClewError, match="answered 422: Invalid") as failed:
        client.send_task(stage_stack(3))

    assert ("body.data: is missing" in failed.value.message) is (
        errors == [{"field": "body.data", "message": "is missing"}]
    )


def test_after_nginx_s_time_limit_the_api_server_is_named_not_nginx() -> None:
    answer = client.Answer("MINE", 1000.0, 10_012.0, 503, "", {"detail": "No API server answers."})

    error = client.refused(stage_stack(3), answer)

    assert "nginx waited 10 s for an API server" in error.message
    assert error.next_step.startswith("make stage-3 status")
    assert client.ANSWER_SECONDS > client.NGINX_SECONDS


def test_a_201_without_a_task_id_is_an_error(served_by: ServedBy) -> None:
    served_by(lambda request: httpx.Response(201, json={"status": "PENDING"}))

    with pytest.raises(ClewError, match="answered 201 without a task ID"):
        client.send_task(stage_stack(3))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(200, text="<html>"), "the last answer was not a task: <html>"),
        (httpx.Response(200, json={"status": "STARTED", "result": None, "error": None}), "it is STARTED"),
        (httpx.Response(503, text="busy"), "the last answer was 503: busy"),
    ],
)
def test_a_result_that_does_not_come_says_what_came_instead(
    served_by: ServedBy, answer: httpx.Response, reason: str
) -> None:
    served_by(lambda request: answer)

    with pytest.raises(ClewError, match=reason):
        client.result(stage_stack(3), "task-1", seconds=0.1)


def test_an_unknown_task_is_not_waited_for(served_by: ServedBy) -> None:
    served_by(lambda request: httpx.Response(404, text="unknown task"))

    with pytest.raises(ClewError, match="answered 404: unknown task"):
        client.result(stage_stack(3), "task-1")
