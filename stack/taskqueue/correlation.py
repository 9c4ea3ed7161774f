"""Which client IDs are taken as they are. nginx/nginx.conf of the fixed stages has the same pattern in its `map`."""

from __future__ import annotations

import re
import uuid

HEADER = "X-Request-ID"
VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def is_valid(value: str) -> bool:
    """Tell whether a client's ID can be logged and passed on as it is: 1 to 128 letters, digits, `.`, `_` or `-`."""
    return VALID_ID.fullmatch(value) is not None


def new_id() -> str:
    """Make an ID for a request that came without a usable one: 32 hexadecimal digits, as nginx's `$request_id`."""
    return uuid.uuid4().hex
