"""What the API knows of the request that it is answering and the ledger needs: its deadline and its keys.

It is a context variable, because it ends in this process: every function on the way would pass it on and none would
use it. The correlation ID does not end here. It goes on into the message, so it is passed by hand, as an argument;
`request_id` is only for this process's log lines.
"""

from __future__ import annotations

import contextvars
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

# How long a request is worth an answer: then nginx gives up (proxy_next_upstream_timeout).
BUDGET_SECONDS = 3.0
TRY_SECONDS = 0.9  # a little less than nginx waits for one server (proxy_read_timeout)
STARTED = re.compile(r"t=([0-9]{1,12}(?:\.[0-9]{1,6})?)")


class Told(NamedTuple):
    """What this server is about to tell its client: this task is accepted. `teller` names this answer."""

    task_id: str
    key: str | None
    teller: str


@dataclass
class Intake:
    """One request: `ends` is when no answer is waited for any more, in seconds since the epoch, `keys` the
    values of each Idempotency-Key header, `retry_key` the same for each server that nginx tries for this request.
    `told` is set when the task is accepted, `hung_up` when nobody waits for the answer any more. Unless this is the
    first try, another server may have accepted the task already."""

    request_id: str = ""
    ends: float | None = None
    keys: tuple[str, ...] = ()
    retry_key: str = ""
    told: Told | None = None
    hung_up: bool = False
    is_first_try: bool = True


_current: contextvars.ContextVar[Intake | None] = contextvars.ContextVar("intake", default=None)


def current() -> Intake:
    """Return the intake of the request being answered; an empty one outside a request."""
    return _current.get() or Intake()


def begin(request_id: str, headers: Iterable[tuple[bytes, bytes]]) -> Intake:
    """Return the intake of a request, and set it for what runs in this context. Header names are in lower case."""
    keys, retry_key, now = [], "", time.time()
    started = now
    for name, value in headers:
        if name == b"idempotency-key":
            keys.append(value.decode("latin-1"))
        elif name == b"x-retry-key":
            retry_key = value.decode("latin-1")
        elif name == b"x-request-start" and (found := STARTED.fullmatch(value.decode("latin-1"))):
            started = min(float(found[1]), now)
    ends, is_first_try = started + BUDGET_SECONDS, now - started < TRY_SECONDS
    intake = Intake(request_id, ends, tuple(keys), retry_key, is_first_try=is_first_try)
    _current.set(intake)
    return intake
