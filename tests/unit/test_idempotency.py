"""Idempotency keys: where they are kept, for how long, and what makes two payloads the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from taskqueue.reliability.idempotency import CLIENT_SECONDS, RETRY_SECONDS, fingerprint, key_of
from taskqueue.reliability.intake import Intake
from taskqueue.reliability.refusals import Refused


def test_without_any_key_there_is_none() -> None:
    assert key_of(Intake()) is None


@pytest.mark.parametrize("sent", ['"5f0c1b9e"', "5f0c1b9e", ' "5f0c1b9e"\t', "\t5f0c1b9e "])
def test_a_clients_key_is_the_same_however_it_is_written(sent: str) -> None:
    key = key_of(Intake(keys=(sent,), retry_key="nginx-1"))
    assert key is not None and key == key_of(Intake(keys=("5f0c1b9e",)))
    assert (key.seconds, key.from_client) == (CLIENT_SECONDS, True)
    prefix, _, digest = key.name.rpartition(":")
    assert prefix == "idempotency:client" and len(digest) == 32 and set(digest) <= set("0123456789abcdef")


def test_nginx_s_key_is_another_one_and_shorter_lived() -> None:
    key = key_of(Intake(retry_key="5f0c1b9e"))
    assert key is not None
    assert (key.seconds, key.from_client) == (RETRY_SECONDS, False)
    assert key.name.startswith("idempotency:nginx:")
    client = key_of(Intake(keys=("5f0c1b9e",)))
    assert client is not None and client.name != key.name


@pytest.mark.parametrize("keys", [("",), ('""',), ('"a', ), ("ä",), ("a b",), ("x" * 256,), ("a", "a")])  # fmt: skip
def test_a_malformed_key_is_refused_with_an_example(keys: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as refused:
        key_of(Intake(keys=keys))
    assert (refused.value.code, refused.value.retry_after) == ("CLIENT_ERROR_IDEMPOTENCY_KEY_MALFORMED", None)
    assert '"5f0c1b9e"' in refused.value.detail


@pytest.mark.parametrize(("changed", "same"), [
    ({}, True),
    ({"kwargs": {"b": [2, 1], "a": {"y": 1, "x": 2}}}, True),
    ({"kwargs": {"a": {"x": 2, "y": 1}, "b": [2, 1], "correlation_id": "ANOTHER"}}, True),
    ({"kwargs": {"a": {"x": 2, "y": 1}, "b": [1, 2]}}, False),
    ({"task_name": "tasks.other"}, False),
    ({"queue": "low"}, False),
])  # fmt: skip
def test_two_payloads_are_the_same_if_all_but_the_correlation_id_is(changed: dict[str, Any], same: bool) -> None:
    usual = {"task_name": "tasks.x", "kwargs": {"a": {"x": 2, "y": 1}, "b": [2, 1]}, "queue": "high"}
    assert (fingerprint(**usual) == fingerprint(**{**usual, **changed})) is same


def test_a_value_that_json_does_not_know_counts_as_its_text() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert fingerprint("t", {"at": now}, "low") == fingerprint("t", {"at": str(now)}, "low")
