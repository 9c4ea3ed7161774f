"""Which messages may reach Celery."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import hostile
import pytest

from taskqueue.reliability import wellformed
from taskqueue.reliability.wellformed import Ids, Malformed

TASKS = {"taskqueue.rehearsal"}


def raw(**changed: Any) -> bytes:
    return json.dumps(hostile.valid() | changed).encode()


def with_headers(**changed: Any) -> bytes:
    message = hostile.valid()
    return json.dumps({**message, "headers": message["headers"] | changed}).encode()


def with_properties(**changed: Any) -> bytes:
    message = hostile.valid()
    return json.dumps({**message, "properties": message["properties"] | changed}).encode()


def check_task(message: bytes) -> None:
    wellformed.check_task(message, TASKS)


def reason(message: bytes) -> str:
    with pytest.raises(Malformed) as refused:
        wellformed.check_task(message, TASKS)
    return str(refused.value)


def test_what_celery_writes_is_well_formed() -> None:
    wellformed.check_task(json.dumps(hostile.valid(seconds=0.5, correlation_id="a")).encode(), TASKS)
    wellformed.check_control(json.dumps(hostile.control()).encode())
    reply_to = {"exchange": "reply.celery.pidbox", "routing_key": "9650"}
    wellformed.check_control(json.dumps(hostile.control(reply_to=reply_to, ticket="t", destination=["w"])).encode())


def test_a_retry_that_was_given_back_is_well_formed() -> None:
    eta = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    wellformed.check_task(with_headers(eta=eta, retries=3, redelivered=True, traceparent="00-ab-cd-01"), TASKS)
    info = {"exchange": "low", "routing_key": "low", "redelivered": True}
    wellformed.check_task(with_properties(delivery_info=info), TASKS)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "the message is not JSON"),
        (b"\xff", "the message is not JSON"),
        (b"7", "the message is not a JSON object"),
        (b"{}", "headers is missing"),
        (b"1" * 10_000, "the message is not JSON"),
        (b"[" * 100_000, "the message is nested too deeply"),
        (raw(body=None), "body is not text"),
        (raw(body="***"), "body is not base64"),
        (raw(body="\ud800"), "body is not base64"),
        (raw(body=hostile.encoded(7)), "body is not a list of a list, an object and an object"),
        (raw(body=hostile.bodies()["nested 500 deep"]), "body is nested too deeply"),
        (raw(**{"content-type": "application/x-python-serialize"}), "content-type is not application/json"),
        (raw(**{"content-encoding": None}), "content-encoding is not utf-8"),
        (with_headers(task="no.such"), "headers.task is 'no.such', which is not a task here"),
        (with_headers(id="a b"), "headers.id is not an ID"),
        (with_headers(retries=True), "headers.retries is not a count"),
        (with_headers(timelimit=[-1, None]), "headers.timelimit is not two numbers"),
        (with_headers(timelimit=[float("nan"), None]), "headers.timelimit is not two numbers"),
        (with_headers(eta="2999-01-01"), "headers.eta is not a time at most a day ahead"),
        (with_headers(eta="9999-12-31T23:59:59-23:59"), "headers.eta is not a time"),
        (with_headers(expires="2020-01-01"), "headers.expires is not null"),
        (with_headers(compression="zlib"), "headers.compression is not null"),
        (with_headers(other={}), "headers has one that is not Celery's"),
        (with_properties(delivery_tag=None), "properties.delivery_tag is not an ID"),
        (with_properties(body_encoding=None), "properties.body_encoding is not base64"),
        (
            with_properties(delivery_info={"exchange": "", "routing_key": "celery"}),
            "properties.delivery_info.routing_key is not one of our queues",
        ),
    ],
)
def test_what_is_malformed_is_refused_with_its_reason(message: bytes, words: str) -> None:
    assert reason(message).startswith(words)


def test_a_message_is_looked_at_only_if_it_is_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wellformed.json, "loads", lambda *_: pytest.fail("parsed"))
    assert reason(b"x" * (wellformed.MAX_TASK_BYTES + 1)) == "the message is longer than 16 MiB"
    assert wellformed.ids_in(b"x" * (wellformed.MAX_TASK_BYTES + 1)) == Ids()
    with pytest.raises(Malformed, match="longer than 1 MiB"):
        wellformed.check_control(b"x" * (wellformed.MAX_CONTROL_BYTES + 1))


def test_no_shape_is_anything_but_well_formed_or_malformed_and_no_reason_repeats_what_was_sent() -> None:
    reasons: dict[str, str] = {}
    for check, messages in (
        (check_task, hostile.messages()),
        (wellformed.check_control, hostile.control_messages()),
    ):
        for name, message in messages.items():
            try:
                check(message)
            except Malformed as malformed:
                reasons[f"{check.__name__} {name}"] = str(malformed)
    assert len(reasons) > 400
    assert [
        name for name, text in reasons.items() if not (text.isprintable() and text.isascii() and len(text) < 150)
    ] == []


def test_a_hundred_levels_are_allowed_and_not_one_more() -> None:
    def nested(levels: int) -> bytes:
        value = json.loads("[" * (levels - 2) + "]" * (levels - 2))
        return json.dumps(hostile.valid(x=value)).encode()

    wellformed.check_task(nested(wellformed.MAX_NESTING), TASKS)
    assert reason(nested(wellformed.MAX_NESTING + 1)) == "body is nested too deeply"


def test_many_brackets_are_not_deep_nesting() -> None:
    wellformed.check_task(json.dumps(hostile.valid(x=[[]] * 1000)).encode(), TASKS)


def test_ids_are_read_from_a_malformed_message_if_they_can_be_logged() -> None:
    message = hostile.valid(correlation_id="MY-TRACE-1")
    del message["properties"]
    assert wellformed.ids_in(json.dumps(message).encode()) == Ids(hostile.TASK_ID, "MY-TRACE-1")
    assert wellformed.ids_in(raw(body="***")) == Ids(hostile.TASK_ID, None)
    assert wellformed.ids_in(with_headers(id="\x1b[2J")) == Ids(None, None)
    assert wellformed.ids_in(b"7") == Ids()
    for message_of_any_kind in hostile.messages().values():
        wellformed.ids_in(message_of_any_kind)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"method": None}, "body.method is not text"),
        ({"arguments": []}, "body.arguments is not an object"),
        ({"destination": "w"}, "body.destination is not a list of texts"),
        ({"reply_to": {"exchange": "x"}}, "body.reply_to.routing_key is missing"),
        ({"other": 1}, "body has fields that are not Celery's"),
    ],
)
def test_malformed_remote_control_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(Malformed, match=words):
        wellformed.check_control(json.dumps(hostile.control(**body)).encode())
