"""The client: every answer that an API, or something in its place, can give is an answer or a clear error."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest

from clew.core.errors import ClewError
from clew.evidence import client
from clew.stacks.services import API_SERVERS, NGINX
from clew.stacks.stack import Stack, stage_stack

Handler = Callable[[httpx.Request], httpx.Response]
ServedBy = Callable[[Handler], None]


@pytest.fixture
def served_by(monkeypatch: pytest.MonkeyPatch) -> ServedBy:
    """Have a function answer in place of the services, each at its own port."""

    def serve(handler: Handler) -> None:
        transport = httpx.MockTransport(handler)

        def fake(stack: Stack, service: str = NGINX) -> httpx.Client:
            return httpx.Client(transport=transport, base_url=f"http://fake:{stack.ports[service]}")

        monkeypatch.setattr(client, "_client", fake)

    return serve


@pytest.fixture
def server() -> Iterator[Stack]:
    """Stage 3, of which one API server listens; it answers with the path and the client's address."""

    class Echo(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"detail": self.path}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        ports = dict.fromkeys(stage_stack(3).ports, 1)
        yield replace(stage_stack(3), ports={**ports, API_SERVERS[1]: listening.server_port})
        listening.shutdown()


def test_a_service_is_asked_at_its_port_and_through_no_proxy(server: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with client._client(server, API_SERVERS[1]) as one:
        assert one.get("/path").json() == {"detail": "/path"}
        assert one.timeout == httpx.Timeout(client.ANSWER_SECONDS)
    with client._client(server) as other:
        assert str(other.base_url) == server.url


def test_a_request_is_sent_as_it_was_given_and_timed(served_by: ServedBy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"task_id": "task-1"}, headers={"X-Request-ID": "ECHO"})

    served_by(answer)
    stack = stage_stack(3)
    clock = iter([1000.0, 1000.25, 2000.0, 2000.5])
    monkeypatch.setattr(client, "time", SimpleNamespace(time=lambda: next(clock)))

    assert client.send(stack, "MINE") == client.Answer("MINE", 1000.0, 250.0, 201, "ECHO", {"task_id": "task-1"})
    client.send(stack, None, {"data": {"a": 1}}, API_SERVERS[2])

    assert [(request.method, request.url.path) for request in seen] == [("POST", "/api/v1/tasks")] * 2
    assert [request.url.port for request in seen] == [stack.port, stack.ports[API_SERVERS[2]]]
    assert [json.loads(request.content) for request in seen] == [client.request_body(), {"data": {"a": 1}}]
    assert seen[0].headers["X-Request-ID"] == "MINE"
    assert re.fullmatch("clew-[0-9a-f]{12}", seen[1].headers["X-Request-ID"])


def test_an_answer_without_an_id_has_none(served_by: ServedBy) -> None:
    served_by(lambda request: httpx.Response(201, json={}))

    assert client.send(stage_stack(3), "MINE").answered_id == ""


@pytest.mark.parametrize(("reason", "told"), [("refused", "refused"), ("", "no data")])
def test_a_service_that_does_not_answer_is_named_with_its_address(served_by: ServedBy, reason: str, told: str) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(reason)

    served_by(fail)
    stack = stage_stack(3)
    where = f"127.0.0.1:{stack.ports[API_SERVERS[0]]}"

    with pytest.raises(ClewError) as sent:
        client.send(stack, "MINE", service=API_SERVERS[0])
    with pytest.raises(ClewError) as asked:
        client.ask(stack, "GET", "task-1")

    assert sent.value.message == f"fastapi-server-1 of Stage 3 does not answer at {where}: {told}."
    assert asked.value.message == f"Stage 3 does not answer at {stack.url}: {told}."
    assert sent.value.next_step == asked.value.next_step == stack.command("status")


def test_an_id_that_no_header_can_have_is_refused(served_by: ServedBy) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value")

    served_by(fail)
    stack = stage_stack(3)

    with pytest.raises(ClewError) as failed:
        client.send(stack, "a\nb")

    assert failed.value.message == "This ID cannot be sent in a header: Illegal header value."
    assert failed.value.next_step == stack.command("send ID=MY-TRACE-123")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_task_is_asked_for(served_by: ServedBy, method: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"asked": f"{request.method} {request.url.path} {request.url.port}"})

    served_by(answer)
    stack = stage_stack(3)

    assert client.ask(stack, method, "task-1") == {
        "method": method,
        "task_id": "task-1",
        "status_code": 200,
        "body": {"asked": f"{method} /api/v1/tasks/task-1 {stack.port}"},
    }


def test_a_seeded_body_has_the_data_that_is_given_or_the_sample() -> None:
    sample = client.REQUESTS["calculate_var"]

    assert client.seeded_body() == {"task_type": "calculate_var", "data": {**sample, "seed": 7}, "priority": "high"}
    assert client.seeded_body({"a": 1})["data"] == {"a": 1, "seed": 7}
    assert "seed" not in sample


def test_a_task_type_that_does_not_exist_is_refused() -> None:
    known = "calculate_var, monte_carlo_pricing, portfolio_optimization, stress_test, rehearsal"
    with pytest.raises(ClewError) as failed:
        client.request_body("nope")

    assert failed.value.message == f"There is no task type 'nope'; there are {known}."
    assert failed.value.next_step == "make stage-5 send"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "^NaN is not JSON$"),
        ('{"a": [NaN]}', "not JSON"),
        ('{"a": 1e999}', "not JSON compliant"),
        ('{"a": -Infinity}', "not JSON"),
        (r'{"a": "\ud800"}', "surrogates not allowed"),
        ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "^it is nested too deeply$"),
        ("null", "^it is 'null', not an object such as {}$"),
        ('"' + "x" * 100, "Unterminated string"),
        (f'"{"x" * 100}"', f"""^it is '"{"x" * 39}', not"""),
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
    with pytest.raises(ClewError) as failed:
        client.send(stage_stack(3), "\udcff")

    assert failed.value.message == "The ID is not valid UTF-8 text."
    assert failed.value.next_step == stage_stack(3).command("send ID=MY-TRACE-123")


@pytest.mark.parametrize("content", [b"<html>", b"", b"[1]", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_not_a_json_object_is_shown_as_text(served_by: ServedBy, content: bytes) -> None:
    served_by(lambda request: httpx.Response(502, content=content))

    answer = client.send(stage_stack(3), "MINE")

    assert answer.body.keys() == {"detail"}
    with pytest.raises(ClewError, match="Stage 3 answered 502"):
        client.send_task(stage_stack(3))
    assert client.ask(stage_stack(3), "GET", "task-1")["body"].keys() == {"detail"}


WAITED = "\n  nginx waited 3 s for the API servers, and none answered."


@pytest.mark.parametrize(
    ("status", "ms", "body", "told", "verb"),
    [
        (500, 3_000.0, {"detail": "No API server answers."}, f"500: No API server answers.{WAITED}", "status"),
        (503, 2_999.0, {"detail": "Busy."}, "503: Busy.", "status"),
        (499, 12_000.0, {"detail": "Slow."}, "499: Slow.", "send"),
        (422, 3.0, {"detail": "Invalid", "errors": None}, "422: Invalid", "send"),
        (422, 3.0, {"detail": "Invalid", "errors": "text"}, "422: Invalid", "send"),
        (422, 3.0, {"errors": [1, {}]}, "422: {'errors': [1, {}]}\n  error: 1\n  error: {}", "send"),
        (
            422,
            3.0,
            {"detail": "Invalid", "errors": [{"field": "data", "message": "is missing"}, {"field": "x"}]},
            "422: Invalid\n  data: is missing\n  x: {'field': 'x'}",
            "send",
        ),
    ],
)
def test_a_refusal_says_what_the_api_says_and_how_long_nginx_waited(
    status: int, ms: float, body: dict[str, object], told: str, verb: str
) -> None:
    error = client.refused(stage_stack(3), client.Answer("MINE", 1000.0, ms, status, "", body))

    assert error.message == f"Stage 3 answered {told}"
    assert error.next_step == stage_stack(3).command(verb)


def test_the_client_waits_longer_than_nginx() -> None:
    assert client.ANSWER_SECONDS > client.NGINX_SECONDS


def test_a_201_without_a_task_id_is_an_error(served_by: ServedBy) -> None:
    served_by(lambda request: httpx.Response(201, json={"status": "PENDING"}))

    with pytest.raises(ClewError) as failed:
        client.send_task(stage_stack(3))

    assert failed.value.message == "Stage 3 answered 201 without a task ID: {'status': 'PENDING'}"
    assert failed.value.next_step == stage_stack(3).command("diff")


def test_an_accepted_request_passes_on_what_it_was_given(served_by: ServedBy) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"task_id": "task-1"})

    served_by(answer)

    assert client.send_task(stage_stack(3), "MINE", {"a": 1}, API_SERVERS[1]).task_id == "task-1"
    client.send_task(stage_stack(3))

    assert [request.url.port for request in seen] == [stage_stack(3).ports[API_SERVERS[1]], stage_stack(3).port]
    assert (seen[0].headers["X-Request-ID"], json.loads(seen[0].content)) == ("MINE", {"a": 1})


def test_a_warm_up_waits_for_a_task_of_each_api_server(served_by: ServedBy) -> None:
    stack, asked = stage_stack(3), []

    def answer(request: httpx.Request) -> httpx.Response:
        task_id = request.url.path.removeprefix("/api/v1/tasks").removeprefix("/") or f"task-{request.url.port}"
        asked.append((request.method, request.url.port, request.headers.get("X-Request-ID")))
        state = {"status": "SUCCESS", "result": {}, "error": None}
        return httpx.Response(201 if request.method == "POST" else 200, json={"task_id": task_id, **state})

    served_by(answer)
    client.warm_up(stack)

    one_by_one = [[("POST", stack.ports[name], "warm-up"), ("GET", stack.port, None)] for name in API_SERVERS]
    assert asked == [step for steps in one_by_one for step in steps]


def test_a_result_is_asked_for_until_the_task_is_finished(served_by: ServedBy) -> None:
    pending = {"task_id": "task-1", "status": "PENDING", "result": None, "error": None}
    finished = {**pending, "status": "FAILURE", "error": "It failed."}
    answers = iter(
        [
            httpx.Response(503, text="busy"),
            httpx.ReadError(""),
            httpx.Response(200, json={"status": "SUCCESS"}),  # without result and error: not a task
            httpx.Response(200, json=pending),
            httpx.Response(200, json=finished),
        ]
    )

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/api/v1/tasks/task-1")
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    served_by(answer)

    assert client.result(stage_stack(3), "task-1", seconds=20) == finished


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(200, text="<html>" + "x" * 300), f"the last answer was not a task: <html>{'x' * 194}"),
        (httpx.Response(200, json={"status": "STARTED", "result": None, "error": None}), "it is STARTED"),
        (httpx.Response(503, text="busy"), "the last answer was 503: busy"),
        (httpx.ConnectError("refused"), "the API did not answer: refused"),
        (httpx.ReadError(""), "the API did not answer: no data"),
    ],
)
def test_a_result_that_does_not_come_says_what_came_instead(
    served_by: ServedBy, answer: httpx.Response | Exception, reason: str
) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    served_by(answered)

    with pytest.raises(ClewError) as failed:
        client.result(stage_stack(3), "task-1", seconds=0.1)

    assert failed.value.message == f"Timed out after 0 s waiting for task task-1 to be finished; {reason}."
    assert failed.value.next_step == stage_stack(3).command("status")


def test_an_unknown_task_is_not_waited_for(served_by: ServedBy) -> None:
    served_by(lambda request: httpx.Response(404, text="unknown task"))

    with pytest.raises(ClewError) as failed:
        client.result(stage_stack(3), "task-1")

    assert failed.value.message == "The API answered 404: unknown task"
    assert failed.value.next_step == stage_stack(3).command("status")
