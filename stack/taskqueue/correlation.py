"""Which client IDs are kept, and what a new one looks like."""

from __future__ import annotations

import uuid

from taskqueue.contract import VALID_ID


def is_valid(value: str) -> bool:
    """Tell whether a client's ID can be logged and passed on as it is: 1 to 128 letters, digits, `.`, `_` or `-`."""
    return VALID_ID.fullmatch(value) is not None


def new_id() -> str:
    """Return an ID for a request that came without a usable one: 32 hexadecimal digits, like nginx's `$request_id`."""
    return uuid.uuid4().hex
