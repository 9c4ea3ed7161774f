"""Layer 2: routes. HTTP in, HTTP out; what a task means is the task service's business."""

import logging

from fastapi import APIRouter, Request, Response
from services import task_service
from taskqueue.logs import log_hand_off
from taskqueue.schemas import TaskCreated, TaskSubmission

logger = logging.getLogger(__name__)
router = APIRouter()


@router.post("/api/v1/tasks", status_code=201)
def create_task(submission: TaskSubmission, request: Request, response: Response) -> TaskCreated:
    """Accept a task and answer at once; the result is read at `Location`."""
    correlation_id = request.state.correlation_id
    logger.info("Task wanted: %s", submission.task_type, extra={"request_id": correlation_id})

    arguments = {
        "task_type": submission.task_type,
        "task_data": submission.data.model_dump(),
        "priority": submission.priority,
        "correlation_id": correlation_id,
    }
    log_hand_off("routes", arguments)
    task_id = task_service.create_task(**arguments)

    response.headers["Location"] = f"/api/v1/tasks/{task_id}"
    return TaskCreated(task_id=task_id)
