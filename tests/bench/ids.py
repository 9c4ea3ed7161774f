"""What an ID costs on a route that does nothing: ours, asgi-correlation-id's, and OpenTelemetry's trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from children import child
from harness import Bench, Json, Ratio, Variants

# Of our own paths this is one for which the middleware neither logs nor counts, so what is left is the ID.
NULL = """
import asyncio, uuid
from fastapi import FastAPI
app = inner = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
@inner.get("/health/live")
async def live():
    return {"status": "alive"}
ID = uuid.uuid4().hex.encode()
def before():
    pass
async def once():
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
             "path": "/health/live", "raw_path": b"/health/live", "query_string": b"", "root_path": "", "state": {},
             "headers": [(b"host", b"bench"), (b"accept", b"*/*"), (b"user-agent", b"bench"), (b"x-request-id", ID)],
             "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    async def receive():
        await asyncio.get_running_loop().create_future()
    async def send(message):
        if message["type"] == "http.response.start":
            assert message["status"] == 200
    await app(scope, receive, send)
"""
CLEW = (
    NULL
    + """
from taskqueue import logs, middleware
logs.configure()
app = middleware.CorrelationMiddleware(inner)
"""
)
ASGI_CORRELATION_ID = (
    NULL
    + """
from asgi_correlation_id import CorrelationIdMiddleware
app = CorrelationIdMiddleware(inner)
"""
)
OPENTELEMETRY = (
    NULL
    + """
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
app = OpenTelemetryMiddleware(inner, tracer_provider=TracerProvider())
"""
)


@contextlib.contextmanager
def opened(facts: Json) -> Iterator[Variants]:
    with (
        child(NULL, 400) as none,
        child(NULL, 400) as again,
        child(CLEW, 400) as clew,
        child(ASGI_CORRELATION_ID, 400) as acid,
        child(OPENTELEMETRY, 400) as otel,
    ):
        yield {"no ID": none, "no ID again": again, "clew": clew, "asgi-correlation-id": acid, "OpenTelemetry": otel}


BENCH = Bench(
    "ids",
    "CPU time of a request to a route that does nothing, with an ID and without",
    "µs CPU",
    opened,
    (
        Ratio("clew ÷ no ID", "clew", "no ID", 1.06),
        Ratio("asgi-correlation-id ÷ no ID", "asgi-correlation-id", "no ID"),
        Ratio("OpenTelemetry ÷ no ID", "OpenTelemetry", "no ID"),
    ),
    ("no ID", "no ID again"),
)
