"""The dead letters of a stack, asked of its API as any client would."""

from __future__ import annotations

from typing import Any

import httpx

from clew.core.errors import ClewError
from clew.stacks.stack import Stack

PATH = "/api/v1/dead-letters"
ANSWER_SECONDS = 15


def listed(stack: Stack) -> list[dict[str, Any]]:
    """Return all dead letters, the oldest first, each with id, kind, at, reason, queue, content, size and more.

    Raises:
        ClewError: the API does not answer, or answers with an error.
    """
    return list(_asked(stack, "GET", PATH).json())


def requeue(stack: Stack, letter_id: str) -> None:
    """Have a dead letter sent again.

    Raises:
        ClewError: there is no such dead letter, or it cannot be sent again; or the API does not answer.
    """
    _asked(stack, "POST", f"{PATH}/{letter_id}/requeue")


def drop(stack: Stack, letter_id: str) -> None:
    """Have a dead letter removed for good.

    Raises:
        ClewError: there is no such dead letter; or the API does not answer.
    """
    _asked(stack, "DELETE", f"{PATH}/{letter_id}")


def _asked(stack: Stack, method: str, path: str) -> httpx.Response:
    try:
        # Not through a proxy that the environment may name: this is loopback.
        answer = httpx.request(method, f"{stack.url}{path}", timeout=ANSWER_SECONDS, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"{stack.title} does not answer at {stack.url}: {str(error) or 'no data'}."
        raise ClewError(reason, stack.command("status")) from None
    if answer.is_success:
        return answer
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        detail = answer.text[:500]
    raise ClewError(f"{stack.title} answered {answer.status_code}: {detail}", stack.command("dead-letters"))
