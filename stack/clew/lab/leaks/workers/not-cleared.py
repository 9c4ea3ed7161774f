"""A context variable that nobody clears: the next task in the same process finds the last one's ID."""

import logging
import os
import uuid
from contextvars import ContextVar

from celery.signals import task_prerun

from taskqueue import risk
from taskqueue.logs import task_log
from taskqueue.reliability import ledger
from taskqueue.worker import app

logger = logging.getLogger(__name__)
current_id = ContextVar("current_id", default=None)


@app.task(bind=True, name="tasks.calculate_var")
def calculate_var(self, portfolio_data, seed=None, correlation_id=None, **_):
    current_id.set(correlation_id)
    with task_log("VaR", task_id=self.request.id, correlation_id=current_id.get()):
        result = risk.calculate_var(portfolio_data, 0.95, 10, 1_000, seed)
        send_next("tasks.report", {"about": self.request.id})
    return result


@app.task(bind=True, name="tasks.report")
def report(self, about, **_):
    with task_log("Report", task_id=self.request.id, correlation_id=current_id.get()):
        return {"about": about}


def send_next(name, kwargs):
    task_id = str(uuid.uuid4())
    logger.info("Next task: %s", name, extra={"task_id": kwargs["about"], "next_task_id": task_id})
    ledger.accept(task_id, name, kwargs, "low")
    app.send_task(name, kwargs=kwargs, task_id=task_id, queue="low")


@task_prerun.connect
def say_where(task_id, **_):
    logger.info("A process takes a task", extra={"task_id": task_id, "process_id": os.getpid()})
