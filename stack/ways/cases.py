"""Where an ID gets to: a request to a way's own application starts tasks that retry, send tasks, chain, use threads.

Run in a way's folder, with a broker in memory and a worker in the same process. Each step writes a log line. At first
nobody thinks of the ID, so it gets only where the way takes it. Then, `careful`, each step does what keeps it.
"""

import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path

from api.routes import router
from celery import Celery, chain, chord
from celery.beat import ScheduleEntry, Scheduler
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging
from fastapi import Request
from starlette.testclient import TestClient

BY_HAND = not Path("carry.py").exists()
SENT = "MY-TRACE-123"
STEPS = {"retry": 3, "child": 2, "chain": 3, "chord": 4, "threads": 2, "library": 1, "error": 1}  # of each case

logger = logging.getLogger("cases")
celery = Celery("cases", broker="memory://", backend="cache+memory://")
celery.conf.update(task_default_queue="cases", broker_transport_options={"polling_interval": 0.01})
careful = False
steps = 0
setup_logging.connect(lambda **_: None, weak=False)  # so that Celery leaves logging alone


def step(case, correlation_id=None):
    global steps
    logger.info("step", extra={"case": case, "careful": careful, "correlation_id": correlation_id})
    steps += 1  # only now: the program ends when it has counted all


@celery.task(name="one")
def one(case, correlation_id=None):
    step(case, correlation_id)


@celery.task(name="retried", bind=True, max_retries=1)
def retried(self, correlation_id=None):
    step("retry", correlation_id)
    if not self.request.retries:
        raise self.retry(countdown=0)


@celery.task(name="parent")
def parent(correlation_id=None):
    one.delay("child", **kept(correlation_id))


@celery.task(name="in_threads")
def in_threads(correlation_id=None):
    with ThreadPoolExecutor(1) as pool:
        if careful:
            pool.submit(copy_context().run, step, "threads", correlation_id).result()
        else:
            pool.submit(step, "threads").result()


def kept(correlation_id):
    """What is passed on where one has to think of it."""
    return {"correlation_id": correlation_id} if BY_HAND and careful else {}


@router.get("/cases/{case}")
def run(case: str, request: Request):
    correlation_id = request.state.correlation_id
    given = {"correlation_id": correlation_id} if BY_HAND else {}
    if case == "library":
        step("library", **kept(correlation_id))
        return
    step(case, **given)
    if case == "retry":
        retried.delay(**given)
    elif case == "child":
        parent.delay(**given)
    elif case == "chain":
        chain(one.si("chain", **given), one.si("chain", **kept(correlation_id))).delay()
    elif case == "chord":
        chord([one.si("chord", **given)] * 2)(one.si("chord", **kept(correlation_id)))
    elif case == "threads":
        in_threads.delay(**given)
    elif case == "error":
        raise RuntimeError("a bug")


def beat():
    """What celery beat does when a task is due."""
    entry = ScheduleEntry("tick", "one", schedule=timedelta(seconds=1), args=["beat"], app=celery)
    Scheduler(celery, lazy=True).apply_async(entry)


def wait_for(count):
    deadline = time.monotonic() + 20
    while steps < count:
        if time.monotonic() > deadline:
            sys.exit(f"{count - steps} steps did not run")
        time.sleep(0.005)


def ask(client, case):
    global steps
    steps = 0
    answer = client.get(f"/cases/{case}", headers={"X-Request-ID": SENT})
    told = ", ".join(name for name, value in answer.headers.items() if value == SENT)
    logger.info("answer", extra={"of": case, "status_code": answer.status_code, "told": told})
    wait_for(STEPS[case])


def ask_all(client):
    global steps
    for case in STEPS:
        ask(client, case)
    steps = 0
    beat()
    wait_for(1)


def main():
    global careful
    from main import app

    celery.set_default()
    with (
        start_worker(celery, pool="solo", perform_ping_check=False, shutdown_timeout=20, loglevel="INFO"),
        TestClient(app, raise_server_exceptions=False) as client,
    ):
        ask_all(client)
        careful = True
        ask_all(client)
        sys.stdout.flush()
        os._exit(0)  # ending the worker properly would take seconds


main()
