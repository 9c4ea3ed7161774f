"""Pure ASGI middleware around the whole application, so that even the answer to an unhandled error has its ID."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskqueue import metrics
from taskqueue.contract import HEADER, HEALTH_PATH, LIVE_PATH, METRICS_PATH
from taskqueue.correlation import is_valid, new_id
from taskqueue.reliability import doubts, intake
from taskqueue.reliability.intake import Intake
from taskqueue.settings import MAX_BODY_BYTES

logger = logging.getLogger("taskqueue")
HEADER_BYTES = HEADER.lower().encode()
RECEIVED_BYTES = b"x-received-request-id"  # what the client sent, as nginx says: for the metrics alone
QUIET = (HEALTH_PATH, LIVE_PATH, METRICS_PATH)  # asked all the time
DRAINED_BYTES = 16 * MAX_BODY_BYTES


class CorrelationMiddleware:
    """Take the request's correlation ID from X-Request-ID, or make one, and put it into `request.state` and the answer.

    A missing, repeated or unusable header is replaced with a new ID. The unusable value itself is never logged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        # HTTP allows spaces and tabs around a value; uvicorn leaves those at its end.
        sent = [value.decode("latin-1").strip(" \t") for name, value in scope["headers"] if name == HEADER_BYTES]
        usable = len(sent) == 1 and is_valid(sent[0])
        correlation_id = sent[0] if usable else new_id()
        scope.setdefault("state", {})["correlation_id"] = correlation_id
        request = intake.begin(correlation_id, scope["headers"])
        about = {"request_id": correlation_id, "method": scope["method"], "path": scope["path"]}
        if sent and not usable:
            logger.warning("Client's X-Request-ID replaced: it is not one usable ID", extra=about)
        received = next((value.decode("latin-1") for name, value in scope["headers"] if name == RECEIVED_BYTES), None)
        metrics.count_nginx(received, sent[0] if sent else "")
        level = logging.DEBUG if scope["path"] in QUIET else logging.INFO
        logger.log(level, "Request started: %s %s", scope["method"], scope["path"], extra=about)

        watcher: asyncio.Task[None] | None = None

        async def watched_receive() -> Message:
            nonlocal watcher
            message = await receive()
            if scope["method"] == "POST" and watcher is None and not message.get("more_body"):
                watcher = asyncio.create_task(_watch(receive, request))
            return message

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                if request.told and request.hung_up:
                    doubts.add(request.told, correlation_id)
                message["headers"] = [*message.get("headers", []), (HEADER_BYTES, correlation_id.encode())]
                seconds = time.perf_counter() - started
                duration_ms = round(seconds * 1000, 3)
                if scope["path"] not in QUIET:
                    route = getattr(scope.get("route"), "path", "none")
                    metrics.count_request(scope["method"], route, message["status"], seconds, correlation_id)
                extra = {**about, "status_code": message["status"], "duration_ms": duration_ms}
                logger.log(level, "Request completed: %s", message["status"], extra=extra)
            await send(message)

        try:
            await self.app(scope, watched_receive, send_with_id)
        finally:
            if watcher is not None:
                watcher.cancel()


async def _watch(receive: Receive, request: Intake) -> None:
    """Note when the client closes the connection: it will not read the answer."""
    while (await receive())["type"] != "http.disconnect":
        pass
    request.hung_up = True


class BodyLimitMiddleware:
    """Answer 413 to a body of more than MAX_BODY_BYTES, announced or not, before anything parses it.

    The rest of such a body is read and dropped, up to DRAINED_BYTES. Starlette's `max_body_size` does not: a client
    that is still sending, with `Connection: close`, sees its connection reset instead of the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received <= MAX_BODY_BYTES:
                return message
            while message.get("more_body") and received < DRAINED_BYTES:
                message = await receive()
                received += len(message.get("body", b""))
            raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES} bytes: send less data.")

        await self.app(scope, limited_receive, send)
