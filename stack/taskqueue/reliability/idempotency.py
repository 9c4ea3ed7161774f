"""Idempotency keys: the same key and payload lead to the same task, however often and to whichever server it is sent.

After draft-ietf-httpapi-idempotency-key-header-07. A key is valid for this deployment as a whole, which knows no
callers, and for a day: a client that gives up retrying sooner than that has lost nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskqueue.reliability.intake import Intake
from taskqueue.reliability.refusals import Refused

CLIENT_SECONDS = 24 * 3600
RETRY_SECONDS = 60  # nginx has given up long before
# The draft wants a quoted string; a bare token is what most clients send.
QUOTED = re.compile(r'"([ !#-\[\]-~]{1,255})"')
BARE = re.compile(r"[!#-+\--:<-\[\]-~]{1,255}")


@dataclass(frozen=True)
class Key:
    """Where the ledger keeps the key, for how many seconds, and whether the client sent it (or nginx did)."""

    name: str
    seconds: int
    from_client: bool


def key_of(intake: Intake) -> Key | None:
    """Return the key of a request: the client's own one, else nginx's, which is the same for each server it tries.

    Raises:
        Refused: the client's key is not a string of 1 to 255 characters, or there are several.
    """
    if intake.keys:
        sent = intake.keys[0].strip(" \t")
        found = QUOTED.fullmatch(sent) or BARE.fullmatch(sent)
        if found is None or len(intake.keys) > 1:
            detail = 'Idempotency-Key must be one string of 1 to 255 ASCII characters, such as "5f0c1b9e".'
            raise Refused("CLIENT_ERROR_IDEMPOTENCY_KEY_MALFORMED", detail)
        return Key(_name("client", found[found.lastindex or 0]), CLIENT_SECONDS, from_client=True)
    if intake.retry_key:
        return Key(_name("nginx", intake.retry_key), RETRY_SECONDS, from_client=False)
    return None


def _name(sender: str, value: str) -> str:
    return f"idempotency:{sender}:{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def fingerprint(task_name: str, kwargs: Mapping[str, Any], queue: str) -> str:
    """Return what makes two requests the same: all of the task except its correlation ID, which each request has."""
    payload = {name: value for name, value in kwargs.items() if name != "correlation_id"}
    canonical = json.dumps([task_name, payload, queue], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()
