"""No secret is in a line, wherever it was logged; and what is none stays."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from taskqueue import logs
from taskqueue.redaction import REDACTED, is_card_number, redacted

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
secret = st.text(LETTERS + "_-", min_size=12, max_size=40)
names = st.sampled_from(
    ["password", "PASSWORD", "db_password", "redis-password", "passwd", "pwd", "token", "access_token", "api_key",
     "apikey", "X-Api-Key", "client_secret", "Authorization", "cookie", "session_id", "aws_secret_access_key"]
)  # fmt: skip
between = st.sampled_from([("=", ""), (": ", ""), ("=>", ""), (' : "', '"'), ("='", "'"), ('": "', '"'), ("': '", "'")])


def luhn(prefix: str) -> str:
    """Return a number with its check digit."""
    return next(prefix + str(digit) for digit in range(10) if is_card_number(prefix + str(digit)))


cards = st.builds(
    lambda first, rest: luhn(first + rest), st.sampled_from("3456"), st.text("0123456789", min_size=14, max_size=14)
)
grouped = cards.flatmap(
    lambda card: st.sampled_from([card, *(mark.join(card[n : n + 4] for n in range(0, 16, 4)) for mark in " -")])
)
emails = st.builds(
    lambda name, host: f"{name}@{host}.example.com",
    st.text(LETTERS + ".+-_", min_size=3, max_size=20),
    st.text(LETTERS, min_size=3, max_size=9),
)
# What is logged, and the part of it that must not be in the line.
told = st.one_of(
    st.builds(lambda name, mark, value: (f"{name}{mark[0]}{value}{mark[1]}", value), names, between, secret),
    st.builds(lambda value: (f"Authorization: Bearer {value}", value), secret),
    st.builds(lambda value: (f"Bearer {value}", value), secret),
    st.builds(lambda value: (f"redis://worker:{value}@redis-broker:6379/0", value), secret),
    st.builds(lambda value: (f"eyJhbGciOi{value}.eyJzdWIi{value}.{value}", value), secret),
    st.text(LETTERS, min_size=20, max_size=30).map(lambda value: (f"ghp_{value}", value)),
    emails.map(lambda value: (value, value)),
    grouped.map(lambda value: (value, value)),
)  # fmt: skip
around = st.text(st.characters(whitelist_categories=("L", "N", "Zs"), max_codepoint=0x2FF), max_size=15)


def line(where: str, text: str) -> str:
    """Return the log line of a text that is in the message, in an argument, in a field, or in an exception."""
    record: dict[str, Any] = {"msg": text if where == "message" else "a line"}
    if where == "argument":
        record |= {"msg": "told: %s, %s", "args": (text, {"data": text})}
    if where == "field":
        record["detail"] = text
    if where == "nested":
        record["detail"] = {"data": [text]}
    if where == "exception":
        try:
            raise ValueError(text)
        except ValueError:
            record["exc_info"] = sys.exc_info()
    return logs.JsonLine().format(logging.makeLogRecord(record))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["message", "argument", "field", "nested", "exception"]), around, told, around)
def test_no_secret_is_in_a_line(where: str, before: str, secret: tuple[str, str], after: str) -> None:
    text, hidden = secret
    assume(hidden not in before + after)
    found = line(where, f"{before} {text} {after}")
    assert hidden not in json.dumps(json.loads(found), ensure_ascii=False)
    assert REDACTED in found


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.uuids().map(str),
        st.uuids().map(lambda one: one.hex),
        st.floats(0, 1e15).map(str),
        st.integers(1_000_000_000_000, 2_999_999_999_999).map(str),  # milliseconds since the epoch
        st.sampled_from(
            ["VaR COMPLETE", "tasks.calculate_var", "POST /api/v1/tasks -> 201", "tokens", "the passenger",
             "compass: north",
             "services/queue_service.py:30", "redis://redis-broker:6379/0", "session",
             "Redis does not answer: timed out"]
        ),
    )
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text
    assert json.loads(line("message", text))["message"] == text


def test_a_field_with_a_secrets_name_has_no_value_and_ids_stay_as_they_are() -> None:
    number = luhn("411111111111111")
    record = logging.makeLogRecord({"msg": "x", "password": 12345678, "correlation_id": number})
    found = json.loads(logs.JsonLine().format(record))
    assert found["password"] == REDACTED
    assert found["correlation_id"] == number


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("password=hunter22 user=ann", f"password={REDACTED} user=ann"),
        ('{"token": "abc def", "n": 1}', f'{{"token": {REDACTED}, "n": 1}}'),
        ("kwargs={'api_key': 'k-1', 'symbol': 'AAPL'}", f"kwargs={{'api_key': {REDACTED}, 'symbol': 'AAPL'}}"),
        ("card 4111 1111 1111 1111, not 4111 1111 1111 1112", f"card {REDACTED}, not 4111 1111 1111 1112"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", REDACTED),
    ],
)
def test_only_the_value_is_taken_out(text: str, wanted: str) -> None:
    assert redacted(text) == wanted


@pytest.mark.parametrize(
    "unit", ["a", "a_", "1", "1 ", "a@", "=", "password", "password=", "eyJ.", "x-", '"', "secret_", "://a:", 'pass="']
)
def test_a_long_text_takes_no_longer_than_its_length_suggests(unit: str) -> None:
    began = time.perf_counter()
    redacted("key @ " + unit * (20_000 // len(unit)) + "!")
    assert time.perf_counter() - began < 2
