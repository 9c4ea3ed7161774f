"""Three clicks with one Idempotency-Key, as notebook 6 shows them: replayed, and as they are sent."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

import clew
from clew.core.errors import ClewError
from clew.evidence import client
from clew.lab import recordings
from clew.lab.live import LiveStage
from clew.stacks.services import WORKERS
from clew.stacks.stack import stage_stack

CLICKS = recordings.load("three-ids")["clicks"]


def services_of(click: Any) -> set[str]:
    return {line["service"] for line in click["lines"]}


def test_recorded_clicks_are_one_execution_with_three_traces() -> None:
    answers = [(click["answer"]["status_code"], click["answer"]["body"].get("from_cache")) for click in CLICKS]
    assert answers == [(201, None), (200, True), (200, True), (422, None)]
    assert len({click["answer"]["body"]["task_id"] for click in CLICKS[:3]}) == 1
    assert len({click["answer"]["answered_id"] for click in CLICKS}) == 4
    assert [bool(services_of(click) & set(WORKERS)) for click in CLICKS] == [True, False, False, False]
    assert len({click["key"] for click in CLICKS}) == 1


def test_clicks_are_replayed_and_found_by_their_ids() -> None:
    stage = clew.replay(5)
    key = stage.new_key()
    first, second, _, other = [stage.click(c["answer"]["sent_id"], key, c["data"]) for c in CLICKS]
    assert first.task_id == second.task_id
    assert other.task_id is None
    assert "HTTP 422" in other.text()
    assert [line["correlation_id"] for line in stage.find("CLICK-2").lines if "hop" in line] == ["CLICK-2"] * 3
    assert len(stage.find("CLICK-1").lines) == len(CLICKS[0]["lines"])
    with pytest.raises(ClewError, match="no request with the ID 'CLICK-9'"):
        stage.click("CLICK-9", key, CLICKS[0]["data"])


def test_a_live_stage_makes_a_new_key_each_time() -> None:
    stage = LiveStage(stage_stack(5))
    assert stage.new_key() != stage.new_key()


@pytest.mark.parametrize(("key", "sent"), [("order-1", '"order-1"'), (None, None)])
def test_a_key_is_sent_as_a_quoted_header(monkeypatch: pytest.MonkeyPatch, key: str | None, sent: str | None) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(201, json={"task_id": "t"})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(client, "_client", lambda *_: httpx.Client(base_url="http://x", transport=transport))
    client.send(stage_stack(5), "CLICK-1", {}, key=key)
    assert asked[0].headers.get("Idempotency-Key") == sent
