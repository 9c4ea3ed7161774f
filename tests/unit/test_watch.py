"""The live view: what lines mean, each line once, and the screen at 80 columns and 24 lines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from clew import ladder
from clew.core.errors import ClewError
from clew.lab.watch.app import Watch
from clew.lab.watch.seen import Follower, Seen, verdict
from clew.stacks.services import SERVICES

OF_NGINX = "0123456789abcdef0123456789abcdef"


def line(hop: str, found: str | None, service: str = "fastapi-server-1", **fields: Any) -> dict[str, Any]:
    message = f"Handing on from {hop}"
    return {"service": service, "ts": 1.0, "hop": hop, "correlation_id": found, "message": message, **fields}


@pytest.mark.parametrize(
    ("found", "word"),
    [("MY-TRACE-123", "kept"), (OF_NGINX, "replaced"), (OF_NGINX[:31], "kept"), (None, "missing"), ("", "missing")],
)
def test_a_line_is_judged_alone(found: str | None, word: str) -> None:
    assert verdict(found) == word


def test_hops_are_counted_and_lit_for_a_moment() -> None:
    seen = Seen()
    seen.take([line("routes", "A"), line("routes", None), line("nginx", OF_NGINX, "nginx-loadbalancer")], now=10.0)
    assert seen.counts["routes"] == {"kept": 1, "missing": 1}
    assert seen.newest == {"routes": "missing", "nginx": "replaced"}
    assert seen.lit("routes", 11.0) and not seen.lit("routes", 12.0) and not seen.lit("worker", 10.0)
    assert seen.last["nginx-loadbalancer"]["correlation_id"] == OF_NGINX


def test_requests_for_results_are_not_counted() -> None:
    seen = Seen()
    seen.take([line("nginx", "A", "nginx-loadbalancer", method="GET")], now=1.0)
    assert not seen.newest


def test_each_line_is_returned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    all_lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "clew.lab.watch.seen.logs.read", lambda _, since: [one for one in all_lines if one["ts"] >= since]
    )
    follower = Follower(None, 100.0)  # type: ignore[arg-type]
    all_lines += [line("nginx", "A", ts=100.5), line("routes", "A", ts=100.6)]
    assert len(follower.new_lines()) == 2
    all_lines += [line("nginx", "B", ts=100.4), line("worker", "A", ts=104.0)]
    assert [one["hop"] for one in follower.new_lines()] == ["nginx", "worker"], "also one that came late"
    assert follower.new_lines() == []
    assert len(follower.known) == 1, "what is too old to come again is forgotten"


def shown(app: Watch) -> str:
    """Return the screen as text."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    """Wait for something at most 5 s, and for the screen to show it."""
    for _ in range(100):
        if done():
            break
        await pilot.pause(0.05)
    assert done()
    await pilot.pause()


def test_the_whole_screen_in_80_by_24() -> None:
    fed = [[line(hop, "MY-TRACE-123" if hop in ("nginx", "routes") else None) for hop in ladder.HOPS]]
    sent: list[int] = []

    def read() -> list[dict[str, Any]]:
        return fed.pop() if fed and sent else []

    def send() -> str:
        sent.append(1)
        return "sent X"

    async def play() -> tuple[str, str, str]:
        app = Watch("Stage 2", "make stage-2 send", read, send)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            quiet = shown(app)
            await pilot.press("s")
            await until(pilot, lambda: "worker" in app.seen.newest and bool(app.said))
            lit = shown(app)
            await pilot.press("q")
        return quiet, lit, str(app.return_code)

    quiet, lit, code = asyncio.run(play())
    assert "Nothing has passed yet. Press s" in quiet
    assert all(service in quiet for service in SERVICES), "nine services fit"
    assert ">● kept<" in lit and ">○ missing<" in lit
    assert "sent X" in lit
    assert [row.split() for row in lit.splitlines() if row.startswith("kept")] == [["kept", "1", "1", "0", "0", "0"]]
    assert code == "0"


def test_an_error_is_shown_until_reading_works_again() -> None:
    broken = [True]

    def read() -> list[dict[str, Any]]:
        if broken:
            raise OSError("No space left on device")
        return []

    async def play() -> tuple[str, str]:
        app = Watch("Stage 2", "make stage-2 send", read, str)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: bool(app.problem))
            first = shown(app)
            broken.clear()
            await until(pilot, lambda: not app.problem)
            return first, shown(app)

    first, second = asyncio.run(play())
    assert "No space left on device. Next: make doctor" in first
    assert "No space" not in second and "Nothing has passed yet" in second


def test_quitting_does_not_wait_for_a_request() -> None:
    sending, answered = threading.Event(), threading.Event()

    def send() -> str:
        sending.set()
        answered.wait(30)
        return "late"

    async def play() -> None:
        app = Watch("Stage 2", "make stage-2 send", list, send)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("s")
            await until(pilot, sending.is_set)
            await pilot.press("q")

    began = time.monotonic()
    try:
        asyncio.run(play())
        assert time.monotonic() - began < 20
    finally:
        answered.set()


def test_what_goes_wrong_is_shown_and_ends_nothing() -> None:
    def fail() -> Any:
        raise ClewError("Stage 2 is not up.", "make stage-2 up")

    async def play() -> str:
        app = Watch("Stage 2", "make stage-2 send", fail, fail)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: bool(app.problem))
            text = shown(app)
            await pilot.press("ctrl+c")
        return text

    assert "Stage 2 is not up. Next: make stage-2 up" in asyncio.run(play())
