"""Errors as `application/problem+json` (RFC 9457): what went wrong, in which field, what to do next."""

from __future__ import annotations

import http
import logging
import math
import random
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kombu.exceptions import OperationalError
from pydantic import BaseModel, Field
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from taskqueue.codes import CODES, code_of
from taskqueue.reliability.refusals import AlreadyAccepted, Refused
from taskqueue.schemas import TaskCreated, TaskRepeated, field_name

logger = logging.getLogger("taskqueue")
PROBLEM = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Problem(BaseModel):
    """The body of every error, application/problem+json (RFC 9457)."""

    title: str
    status: int
    detail: str
    code: str = Field(description="Stable, for programs; the texts can change")
    correlation_id: str = Field(description="As in X-Request-ID: search the logs for it")
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


class CodedError(HTTPException):
    """An error that a route raises, named by its code, which has the status."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(CODES[code].status, detail)
        self.code = code


def problem(
    request: Request,
    code: str,
    detail: str,
    *,
    status: int | None = None,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """Build a problem+json answer; `status` is the code's unless given, `members` are extension members like `errors`.

    After a SERVER_ERROR for which waiting helps, `headers` has Retry-After.
    """
    status = status or CODES[code].status
    correlation_id = request.state.correlation_id
    body = {"title": http.HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    body |= {"correlation_id": correlation_id, **members}
    return JSONResponse(body, status, headers=headers, media_type=PROBLEM)


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header that asks a client to wait: whole seconds, up to half as many more by chance, so that not all
    clients that were refused at the same time come back at the same time."""
    return {"Retry-After": str(math.ceil(seconds * random.uniform(1, 1.5)))}  # noqa: S311 - only spreads clients


def _is_routed(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with problem+json; the handlers wait for nothing, so they need no thread."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if isinstance(error.body, bytes):  # FastAPI parses only what is declared to be JSON
            detail = "Send the body as JSON, with the header Content-Type: application/json."
            return problem(request, "CLIENT_ERROR_MEDIA_TYPE", detail)
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return problem(request, "CLIENT_ERROR_MALFORMED_JSON", "The body is not valid JSON.")
        errors = [{"field": field_name(item["loc"]), "message": item["msg"]} for item in error.errors()]
        named = ", ".join(dict.fromkeys(item["field"] for item in errors))
        detail = f"Not accepted: {named}. Fix what `errors` says and send the request again."
        return problem(request, "CLIENT_ERROR_VALIDATION", detail, errors=errors)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # Starlette names the methods of one route, and a path may have several
            headers["Allow"] = ", ".join(method for method in METHODS if _is_routed(request, method))
        code = error.code if isinstance(error, CodedError) else code_of(error.status_code)
        return problem(request, code, str(error.detail), status=error.status_code, headers=headers)

    @app.exception_handler(Refused)
    async def not_accepted(request: Request, error: Refused) -> JSONResponse:
        extra = {"request_id": request.state.correlation_id, "code": error.code}
        logger.warning("Refused: %s", error.detail, extra=extra)
        headers = None if error.retry_after is None else retry_after(error.retry_after)
        return problem(request, error.code, error.detail, headers=headers)

    @app.exception_handler(AlreadyAccepted)
    async def repeated(request: Request, error: AlreadyAccepted) -> JSONResponse:
        extra = {"request_id": request.state.correlation_id, "task_id": error.task_id}
        logger.info("Answered with the task of an earlier request with this key", extra=extra)
        headers = {"Location": f"/api/v1/tasks/{error.task_id}"}
        if error.from_client:
            return JSONResponse(TaskRepeated(task_id=error.task_id).model_dump(), 200, headers)
        return JSONResponse(TaskCreated(task_id=error.task_id).model_dump(), 201, headers)  # its first answer was lost

    @app.exception_handler(OperationalError)
    @app.exception_handler(RedisError)
    async def broker_failed(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, OutOfMemoryError) or str(error).startswith(("MISCONF", "OOM")):
            code, seconds = "SERVER_ERROR_BROKER_FULL", 10
            detail = "The broker cannot write: its memory or its disk is full. Make room; then try again."
        elif isinstance(error, ResponseError):  # Redis answers, and what it was told is wrong
            return await unhandled(request, error)
        else:
            code, seconds = "SERVER_ERROR_BROKER_DOWN", 2
            detail = "The broker does not answer; try again in a few seconds."
        extra = {"request_id": request.state.correlation_id, "code": code}
        logger.error("Redis: %s", error, extra=extra)
        return problem(request, code, detail, headers=retry_after(seconds))

    @app.exception_handler(Exception)
    async def unhandled(request: Request, error: Exception) -> JSONResponse:
        correlation_id = request.state.correlation_id
        logger.error("Unhandled error: %s", error, exc_info=error, extra={"request_id": correlation_id})
        detail = f"An unexpected error. The logs have it under X-Request-ID {correlation_id}."
        return problem(request, "SERVER_ERROR_UNEXPECTED", detail)
