"""`make stage-5 dead-letters` and `make stage-5 rolling-restart`, on an API that is a function."""

from __future__ import annotations

import json
from typing import Any

import click
import httpx
import pytest

from clew.cli import cli, operate
from clew.core.errors import ClewError
from clew.evidence import dead_letters
from clew.stacks.rolling import Step

LETTERS = [
    {
        "id": f"letter-{number}",
        "kind": "message",
        "at": 1000.0 + number,
        "reason": "the message is not JSON",
        "queue": "low",
        "task_id": None,
        "correlation_id": "MY-TRACE-1" if number else None,
        "content": "\x1b[2Jnot JSON",
        "size": 12,
        "sha256": "0",
        "complete": True,
    }
    for number in range(2)
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the API was asked. It has two dead letters; the second cannot be sent again."""
    requests: list[str] = []

    def answer(method: str, url: str, **_: Any) -> httpx.Response:
        path = httpx.URL(url).path.removeprefix("/api/v1/dead-letters")
        requests.append(f"{method} {path}".strip())
        if method == "GET":
            return httpx.Response(200, json=LETTERS)
        if path == "/letter-1/requeue":
            return httpx.Response(409, json={"detail": "It was not kept whole: drop it."})
        if path.split("/")[1] in ("letter-0", "letter-1"):
            return httpx.Response(200 if method == "POST" else 204)
        return httpx.Response(404, json={"detail": "There is no such dead letter."})

    monkeypatch.setattr(dead_letters.httpx, "request", answer)
    monkeypatch.setattr(operate, "driver_of", lambda stack: stack)
    return requests


def run(*arguments: str) -> None:
    cli(arguments, standalone_mode=False)


def test_dead_letters_are_listed_with_their_reason_and_nothing_reaches_the_terminal_raw(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run("dead-letters", "5")
    shown = capsys.readouterr().out
    assert "letter-0  1970-01-01 00:16:40 UTC  message of queue low, 12 bytes" in shown
    assert shown.count("why: the message is not JSON") == 2
    assert shown.count("correlation_id=MY-TRACE-1") == 1
    assert "\\x1b[2Jnot JSON" in shown
    assert "\x1b" not in shown
    assert "\n2 dead letters.\n" in shown
    assert "make stage-5 dead-letters REQUEUE=letter-0" in shown
    assert asked == ["GET"]


def test_without_dead_letters_that_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(operate, "driver_of", lambda stack: stack)
    monkeypatch.setattr(dead_letters, "listed", lambda stack: [])
    run("dead-letters", "5")
    assert capsys.readouterr().out == "There are no dead letters.\n"


def test_as_json_the_list_is_as_the_api_gives_it(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run("dead-letters", "5", "--json")
    assert json.loads(capsys.readouterr().out) == LETTERS


@pytest.mark.parametrize(
    ("option", "request_line", "words"),
    [
        ("--requeue", "POST /letter-0/requeue", "1 sent again."),
        ("--drop", "DELETE /letter-0", "1 dropped."),
    ],
)
def test_one_is_sent_again_or_dropped(
    asked: list[str], capsys: pytest.CaptureFixture[str], option: str, request_line: str, words: str
) -> None:
    run("dead-letters", "5", option, "letter-0")
    assert asked == [request_line]
    assert capsys.readouterr().out.strip() == words


def test_of_all_those_are_sent_again_that_can_be(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ClewError, match=r"1 of 2 were not sent again:\n  letter-1: .*drop it"):
        run("dead-letters", "5", "--requeue", "all")
    assert asked == ["GET", "POST /letter-0/requeue", "POST /letter-1/requeue"]
    assert "1 sent again." in capsys.readouterr().out


def test_an_unknown_one_is_an_error_with_what_to_type(asked: list[str]) -> None:
    with pytest.raises(ClewError, match="404: There is no such dead letter") as error:
        run("dead-letters", "5", "--drop", "nothing")
    assert error.value.next_step.startswith("make stage-5 dead-letters")


def test_both_at_once_are_refused(asked: list[str]) -> None:
    with pytest.raises(click.UsageError):
        run("dead-letters", "5", "--drop", "all", "--requeue", "all")
    assert asked == []


def test_an_api_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(dead_letters.httpx, "request", refuse)
    monkeypatch.setattr(operate, "driver_of", lambda stack: stack)
    with pytest.raises(ClewError, match="does not answer"):
        run("dead-letters", "5")


def test_a_rolling_restart_tells_what_it_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [Step("celery-worker-1", "restarted", 2.5), Step("redis-broker", "left as it is", 0.0)]
    monkeypatch.setattr(operate, "driver_of", lambda stack: stack)
    monkeypatch.setattr(operate, "rolling_restart", lambda *_: steps)
    run("rolling-restart", "5")
    assert capsys.readouterr().out.split("\n") == [
        "  celery-worker-1    restarted in 2.5 s",
        "  redis-broker       left as it is",
        "",
    ]
    run("rolling-restart", "5", "--json")
    assert json.loads(capsys.readouterr().out)[0] == {
        "service": "celery-worker-1",
        "done": "restarted",
        "seconds": 2.5,
    }
