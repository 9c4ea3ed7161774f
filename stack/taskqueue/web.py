"""The web application that a stage adds its routes to, with the routes that are the same in every stage."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from starlette.types import ASGIApp

from taskqueue import broker, errors, logs, metrics
from taskqueue.bulkhead import BulkheadMiddleware
from taskqueue.contract import FINAL_STATES, HEALTH_PATH, LIVE_PATH, METRICS_PATH
from taskqueue.middleware import BodyLimitMiddleware, CorrelationMiddleware
from taskqueue.producer import celery_app
from taskqueue.reliability import breaker, dead_letters, ledger
from taskqueue.schemas import TaskStatus
from taskqueue.settings import settings

router = APIRouter()


def _known_state(task_id: str) -> dict[str, Any]:
    state = broker.state_of(task_id)
    if state is None:
        detail = f"No task has the ID {task_id!r}: use the task_id that POST /api/v1/tasks returned."
        raise errors.CodedError("CLIENT_ERROR_TASK_NOT_FOUND", detail)
    return state


def _status(state: dict[str, Any]) -> TaskStatus:
    status, result = state["status"], state["result"]
    if status == "SUCCESS" and not isinstance(result, dict):  # of a task that is not one of this project's
        return TaskStatus(task_id=state["task_id"], status=status, error="unknown: what is stored is not an object")
    return TaskStatus(
        task_id=state["task_id"],
        status=status,
        result=result if status == "SUCCESS" else None,
        error=_reason(result) if status == "FAILURE" else None,
    )


def _reason(failure: Any) -> str:
    """Return why a task failed: Celery stores the exception's type and its arguments."""
    if not isinstance(failure, dict):
        return "unknown: what is stored is not an exception"
    arguments = failure.get("exc_message")
    words = arguments if isinstance(arguments, list) else [arguments]
    return f"{failure.get('exc_type')}: {', '.join(map(str, words))}"


@router.get("/api/v1/tasks/{task_id}", responses=errors.documented(404))
def read_task(task_id: str) -> TaskStatus:
    """Return a task's state and, once there is one, its result."""
    return _status(_known_state(task_id))


@router.delete(
    "/api/v1/tasks/{task_id}",
    status_code=202,
    responses={200: {"model": TaskStatus, "description": "Removed from its queue"}, **errors.documented(404, 409)},
)
def cancel_task(task_id: str, response: Response) -> TaskStatus:
    """Cancel a task: it is removed from its queue (200) or, when a worker has it, stopped there (202)."""
    state = _known_state(task_id)
    if state["status"] in FINISHED:
        detail = f"The task has already finished: {state['status']}."
        raise errors.CodedError("CLIENT_ERROR_ALREADY_FINISHED", detail)
    if state["status"] == "REVOKED" or ledger.cancel(task_id) == "WAITING":
        response.status_code = 200
        return TaskStatus(task_id=task_id, status="REVOKED")
    celery_app.control.revoke(task_id, terminate=True)
    return _status(_known_state(task_id))


FINISHED = set(FINAL_STATES) - {"REVOKED"}


@router.get("/api/v1/queues")
def read_queues() -> dict[str, int]:
    """Return how many messages are on each queue, and how many accepted tasks wait, for a worker or for a retry."""
    depths = broker.depths()
    return {**depths, "waiting": breaker.waiting() if settings.durable else sum(depths.values())}


@router.get("/api/v1/dead-letters")
def read_dead_letters() -> list[dict[str, Any]]:
    """Return the messages and tasks that no worker will run again, the oldest first, each with its reason."""
    return dead_letters.all()


@router.post("/api/v1/dead-letters/{letter_id}/requeue", status_code=202, responses=errors.documented(404, 409))
def requeue_dead_letter(letter_id: str) -> dict[str, Any]:
    """Send a dead letter again: a task is accepted again, its runs counted from one; a message is put on its queue."""
    try:
        return dead_letters.requeue(letter_id)
    except KeyError:
        raise _no_letter(letter_id) from None
    except ValueError as error:
        raise errors.CodedError("CLIENT_ERROR_CANNOT_REQUEUE", str(error)) from None


@router.delete("/api/v1/dead-letters/{letter_id}", status_code=204, responses=errors.documented(404))
def drop_dead_letter(letter_id: str) -> None:
    """Remove a dead letter for good."""
    try:
        dead_letters.drop(letter_id)
    except KeyError:
        raise _no_letter(letter_id) from None


def _no_letter(letter_id: str) -> errors.CodedError:
    detail = f"No dead letter has the ID {letter_id!r}: GET /api/v1/dead-letters lists them."
    return errors.CodedError("CLIENT_ERROR_DEAD_LETTER_NOT_FOUND", detail)


@router.get(LIVE_PATH)
async def live() -> dict[str, str]:
    """Tell that this process answers; Redis and the workers are not asked."""
    return {"status": "alive"}


@router.get(METRICS_PATH, include_in_schema=False)
def read_metrics(request: Request) -> Response:
    """Return this server's figures, and what Redis knows of queues and workers, for Prometheus."""
    content, content_type = metrics.exposition(request.headers.get("Accept", ""))
    return Response(content, media_type=content_type)


@router.get(HEALTH_PATH, responses={503: {"description": "No task could be done now"}})
def health(request: Request) -> JSONResponse:
    """Tell whether Redis answers, which workers are alive, and both breakers; 503 when no task could be done now."""
    breakers = breaker.states()
    redis_answers = breakers["admission"]["state"] is not None
    workers: list[str] = []
    if redis_answers:  # waiting for Redis a second time would take longer than nginx waits
        try:
            workers = broker.alive_workers()
        except RedisError:
            redis_answers = False
    found: dict[str, Any] = {"redis": redis_answers, "workers": workers, "breakers": breakers}
    if workers:
        return JSONResponse({"status": "healthy", **found})
    detail = "No worker is alive." if redis_answers else "Redis does not answer."
    return errors.problem(request, "SERVER_ERROR_NOT_READY", detail, headers=errors.retry_after(2), **found)


def create_app(stage_router: APIRouter, tracing: bool = False) -> ASGIApp:
    """Build the ASGI application: the stage's own routes, the shared ones, problem+json errors, the middleware.

    With `tracing`, FastAPI makes OpenTelemetry spans; without, it does not ask at each request whether they are wanted.
    """
    logs.configure()
    metrics.watch_broker()
    app = errors.Application(
        title="Clew task queue",
        version="1.0.0",
        responses=errors.documented(500, 503),
        telemetry={"tracing": tracing, "operation_spans": False, "metrics": False, "logs": False},
    )
    app.include_router(stage_router, responses=errors.documented(400, 413, 415, 422))
    app.include_router(router)
    errors.install(app)
    limited = BodyLimitMiddleware(app)
    return CorrelationMiddleware(BulkheadMiddleware(limited) if settings.durable else limited)
