"""The web application that a stage adds its routes to, with the routes that are the same in every stage."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from starlette.types import ASGIApp

from taskqueue import broker, errors, logs
from taskqueue.contract import FINAL_STATES, HEALTH_PATH, LIVE_PATH
from taskqueue.middleware import BodyLimitMiddleware, CorrelationMiddleware
from taskqueue.producer import celery_app
from taskqueue.reliability import ledger
from taskqueue.schemas import TaskStatus

router = APIRouter()


def _known_state(task_id: str) -> dict[str, Any]:
    state = broker.state_of(task_id)
    if state is None:
        raise HTTPException(404, f"No task has the ID {task_id!r}: use the task_id that POST /api/v1/tasks returned.")
    return state


def _status(state: dict[str, Any]) -> TaskStatus:
    failed = state["status"] == "FAILURE"
    return TaskStatus(
        task_id=state["task_id"],
        status=state["status"],
        result=state["result"] if state["status"] == "SUCCESS" else None,
        error=_reason(state["result"]) if failed else None,
    )


def _reason(failure: dict[str, Any]) -> str:
    """Return why a task failed: Celery stores the exception's type and its arguments."""
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
        raise HTTPException(409, f"The task has already finished: {state['status']}.")
    if state["status"] == "REVOKED" or ledger.cancel(task_id) == "WAITING":
        response.status_code = 200
        return TaskStatus(task_id=task_id, status="REVOKED")
    celery_app.control.revoke(task_id, terminate=True)
    return _status(_known_state(task_id))


FINISHED = set(FINAL_STATES) - {"REVOKED"}


@router.get("/api/v1/queues")
def read_queues() -> dict[str, int]:
    """Return how many tasks are waiting on each queue."""
    return broker.depths()


@router.get(LIVE_PATH)
async def live() -> dict[str, str]:
    """Tell that this process answers; Redis and the workers are not asked."""
    return {"status": "alive"}


@router.get(HEALTH_PATH, responses={503: {"description": "No task could be done now"}})
def health() -> JSONResponse:
    """Tell whether Redis answers and which workers are alive; 503 when no task could be done now."""
    try:
        workers = broker.alive_workers()
        redis_answers = True
    except RedisError:
        workers, redis_answers = [], False
    healthy = redis_answers and bool(workers)
    body = {"status": "healthy" if healthy else "unhealthy", "redis": redis_answers, "workers": workers}
    return JSONResponse(body, 200 if healthy else 503)


def create_app(stage_router: APIRouter) -> ASGIApp:
    """Build the ASGI application: the stage's own routes, the shared ones, problem+json errors, the middleware."""
    logs.configure()
    app = errors.Application(title="Clew task queue", version="1.0.0", responses=errors.documented(500, 503))
    app.include_router(stage_router, responses=errors.documented(400, 413, 415, 422))
    app.include_router(router)
    errors.install(app)
    return CorrelationMiddleware(BodyLimitMiddleware(app))
