"""A bulkhead: when more requests come than can be answered, work is done for those that somebody still waits for."""

from __future__ import annotations

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("taskqueue")
AT_ONCE = 8  # enough to wait for Redis while others are parsed; more only wait for each other


class BulkheadMiddleware:
    """Let a few POSTs at a time into the application; the others wait for their turn, which costs next to nothing.

    Without it, every waiting request is parsed and has a thread, and when nginx has given one up and sent it to the
    next server, it is worked on there as well: a crowd then makes three times the work of its requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.turns = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        async with self.turns:
            first: Message | None = await receive()
            if first is not None and first["type"] == "http.disconnect":
                extra = {"request_id": scope["state"]["correlation_id"]}
                logger.info("Nobody waits for the answer any more: dropped", extra=extra)
                return

            async def receive_all() -> Message:
                nonlocal first
                message, first = first, None
                return message if message is not None else await receive()

            await self.app(scope, receive_all, send)
