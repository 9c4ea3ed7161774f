"""Errors as `application/problem+json` (RFC 9457): what went wrong, in which field, what to do next."""

from __future__ import annotations

import http
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from taskqueue.schemas import field_name

logger = logging.getLogger("taskqueue")
PROBLEM = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Problem(BaseModel):
    """The body of every error, application/problem+json (RFC 9457)."""

    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = []


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for statuses that are answered with a problem."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": http.HTTPStatus(status).phrase, "content": content} for status in statuses}


class Application(FastAPI):
    """FastAPI whose OpenAPI description shows the errors as they are answered here, not FastAPI's own."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is not None:
            return self.openapi_schema
        description = super().openapi()
        schemas = description["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for operation in (operation for path in description["paths"].values() for operation in path.values()):
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
        return description


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **members: Any) -> JSONResponse:
    """Build a problem+json answer; `members` are extension members such as `errors`."""
    body = {"title": http.HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    return JSONResponse(body, status, headers=headers, media_type=PROBLEM)


def _is_routed(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with problem+json."""

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if isinstance(error.body, bytes):  # FastAPI parses only what is declared to be JSON
            return problem(415, "Send the body as JSON, with the header Content-Type: application/json.")
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return problem(400, "The body is not valid JSON.")
        errors = [{"field": field_name(item["loc"]), "message": item["msg"]} for item in error.errors()]
        named = ", ".join(dict.fromkeys(item["field"] for item in errors))
        return problem(422, f"Not accepted: {named}. Fix what `errors` says and send the request again.", errors=errors)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # Starlette names the methods of one route, and a path may have several
            headers["Allow"] = ", ".join(method for method in METHODS if _is_routed(request, method))
        return problem(error.status_code, str(error.detail), headers)

    @app.exception_handler(OperationalError)
    @app.exception_handler(RedisError)
    def broker_down(request: Request, error: Exception) -> JSONResponse:
        correlation_id = request.state.correlation_id
        logger.error("Redis does not answer: %s", error, extra={"request_id": correlation_id})
        return problem(503, "The broker does not answer; try again in a few seconds.", headers={"Retry-After": "2"})

    @app.exception_handler(Exception)
    def unhandled(request: Request, error: Exception) -> JSONResponse:
        correlation_id = request.state.correlation_id
        logger.error("Unhandled error: %s", error, exc_info=error, extra={"request_id": correlation_id})
        return problem(500, f"An unexpected error. The logs have it under X-Request-ID {correlation_id}.")
