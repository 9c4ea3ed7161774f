"""Layer 3: task service. The business rules: which Celery task does the work, on which queue it waits."""

from typing import Any

from services import queue_service
from taskqueue.logs import log_hand_off

TASK_NAMES = {
    "calculate_var": "tasks.calculate_var",
    "monte_carlo_pricing": "tasks.monte_carlo_pricing",
    "portfolio_optimization": "tasks.portfolio_optimization",
    "stress_test": "tasks.stress_test",
    "rehearsal": "taskqueue.rehearsal",
}


def create_task(
    task_type: str, task_data: dict[str, Any], priority: str, correlation_id: str | None = None, **_: Any
) -> str:
    """Queue the task by its priority; return its task ID."""
    arguments = {
        "task_name": TASK_NAMES[task_type],
        "task_data": task_data,
        "queue": priority,
        "correlation_id": correlation_id,
    }
    log_hand_off("task-service", arguments)
    return queue_service.submit_task(**arguments)
