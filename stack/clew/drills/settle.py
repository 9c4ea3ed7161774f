"""Waiting for the end: until the API says of every acknowledged task that it is final, or the time is up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

import aiohttp

from clew.drills.account import unfinished
from clew.drills.load import new_session
from clew.stacks.services import API_SERVERS
from clew.stacks.stack import Stack

AT_ONCE = 16
ANSWER_SECONDS = 10
LOOK_SECONDS = 0.5

States = dict[str, str | None]


def states_of(stack: Stack, task_ids: Iterable[str], seconds: float, progress: Callable[[int], None]) -> States:
    """Ask the API for each task's state, again and again for those that are not final; return the last answers.

    None is a task that the API does not know, or of which it said nothing. `progress` is told how many are not final.
    """
    urls = [f"http://127.0.0.1:{stack.ports[server]}" for server in API_SERVERS]
    return states_at(urls, task_ids, seconds, progress)


def states_at(urls: Sequence[str], task_ids: Iterable[str], seconds: float, progress: Callable[[int], None]) -> States:
    """Do what `states_of` does, with the API at any of these addresses."""
    return asyncio.run(_final(urls, list(dict.fromkeys(task_ids)), seconds, progress))


async def _final(urls: Sequence[str], task_ids: list[str], seconds: float, progress: Callable[[int], None]) -> States:
    states: States = dict.fromkeys(task_ids)
    end = time.monotonic() + seconds
    sessions = [new_session(url) for url in urls]
    try:
        while open_ones := unfinished(states):
            queue = iter(enumerate(open_ones))
            await asyncio.gather(*(_ask(queue, sessions, states) for _ in range(AT_ONCE)))
            left = unfinished(states)
            progress(len(left))
            if time.monotonic() > end:
                break
            if left:
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        await asyncio.gather(*(session.close() for session in sessions))
    return states


async def _ask(queue: Iterable[tuple[int, str]], sessions: Sequence[aiohttp.ClientSession], states: States) -> None:
    for number, task_id in queue:
        try:
            session = sessions[number % len(sessions)]
            async with asyncio.timeout(ANSWER_SECONDS), session.get(f"/api/v1/tasks/{task_id}") as answer:
                states[task_id] = str((await answer.json())["status"]) if answer.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError):
            continue  # asked again in the next round
