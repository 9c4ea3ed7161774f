"""How an exercise's check talks to what a learner wrote: it calls it, looks at the answer, and says what does not hold.

Nothing is taken for granted about the learner's code or about what it returns: whatever goes wrong becomes Unsolved.
"""

from __future__ import annotations

import reprlib
from itertools import islice
from typing import Any

MOST = 100  # items that are looked at, in case there is no end to them


class Unsolved(Exception):
    """The exercise is not solved; the text says what does not hold."""


def require(condition: bool, words: str) -> None:
    if not condition:
        raise Unsolved(words)


def shown(value: Any) -> str:
    """Return a short text for any value, even for one whose repr fails."""
    return reprlib.repr(value)


def kind(value: Any) -> str:
    return type(value).__name__


def call(function: Any, *positional: Any, or_else: str | None = None, **named: Any) -> Any:
    """Return what the learner's function returns; if it stops, tell why, or say `or_else`."""
    require(callable(function), f"A function is expected here; yours is {shown(function)}.")
    try:
        return function(*positional, **named)
    except Unsolved:  # from a function of the exercise's that the learner's code called
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a learner's code may raise anything
        raise Unsolved(or_else or f"Your code stopped with {kind(error)}: {error}") from None


def answer(function: Any, *positional: Any, **named: Any) -> Any:
    """Return what the learner's function returns, which must be something."""
    found = call(function, *positional, **named)
    require(found is not None and found is not ..., "Not solved yet: your function returns nothing.")
    return found


def items(value: Any, words: str) -> list[Any]:
    """Return the items of a collection, at most MOST of them; a text or a value without items is told with `words`."""
    require(not isinstance(value, str | bytes) and hasattr(value, "__iter__"), f"{words} Yours is {shown(value)}.")
    return list(call(lambda: list(islice(value, MOST))))
