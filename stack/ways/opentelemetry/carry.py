"""OpenTelemetry: a span for each step, written to a file. The ID travels as baggage, next to the trace's own ID."""

import logging
import os
from pathlib import Path

from fastapi import Request
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

KEY = "correlation_id"


class IdOnSpans(SpanProcessor):
    def on_start(self, span, parent_context=None):
        if baggage.get_baggage(KEY, parent_context):
            span.set_attribute(KEY, baggage.get_baggage(KEY, parent_context))


def start():
    """Write the spans of this process to its service's file, one JSON object a line."""
    service = os.environ["SERVICE_NAME"]
    file = Path(f"../spans/{service}.jsonl").open("a")  # noqa: SIM115 - as long as the process lives
    exporter = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
    provider = TracerProvider(resource=Resource({"service.name": service}))
    provider.add_span_processor(IdOnSpans())
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    trace.set_tracer_provider(provider)
    CeleryInstrumentor().instrument()
    show_in_logs()


async def remember(request: Request):
    """A dependency of every route: FastAPI has begun its span, and the ID belongs on it."""
    correlation_id = request.state.correlation_id
    trace.get_current_span().set_attribute(KEY, correlation_id)
    token = context.attach(baggage.set_baggage(KEY, correlation_id))
    try:
        yield
    finally:
        context.detach(token)


class AddIds(logging.Filter):
    def filter(self, record):
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            record.trace_id = trace.format_trace_id(span.trace_id)
            record.span_id = trace.format_span_id(span.span_id)
        if baggage.get_baggage(KEY) and not getattr(record, KEY, None):
            record.correlation_id = baggage.get_baggage(KEY)
        return True


def show_in_logs():
    for handler in logging.getLogger().handlers:
        handler.addFilter(AddIds())
