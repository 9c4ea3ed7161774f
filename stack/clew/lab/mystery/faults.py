"""What can be wrong on a mystery's stack: changes of the files of stage 5, each in one layer."""

from __future__ import annotations

from dataclasses import dataclass

from clew import ladder

# What a learner chooses from when they name a cause.
CAUSES: dict[str, str] = {
    "replaced": "another ID takes the place of the client's",
    "dropped": "the ID is not handed on, by nobody and never",
    "cut": "a long ID is cut",
    "lower-case": "capital letters become small ones",
    "swapped": "requests that are under way at the same time get each other's ID",
    "retry": "the ID is lost when a task is retried, and only then",
    "one-type": "the ID is lost for one type of task",
    "one-replica": "the ID is lost in one of several replicas",
    "reuse": "a process that is used again still has the ID of the task before",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. `changes` are texts of the layer's file on stage 5 and what stands there instead; None
    for a layer that is as it was found. `seen` says how it shows, which is also the last hint."""

    cause: str
    hop: str
    seen: str
    changes: tuple[tuple[str, str], ...] | None = None

    @property
    def key(self) -> str:
        return f"{self.cause}@{self.hop}"

    @property
    def layer(self) -> ladder.Layer:
        return next(layer for layer in ladder.LAYERS if layer.hop == self.hop)

    def text(self) -> str:
        """Return the layer's file with the fault.

        Raises:
            ValueError: a text to change is not in the file of stage 5.
        """
        if self.changes is None:
            return ladder.source(self.layer, fixed=False).read_text()
        text = ladder.source(self.layer, fixed=True).read_text()
        for old, new in self.changes:
            if old not in text:
                raise ValueError(f"{self.key}: {old!r} is not in {self.layer.file}")
            text = text.replace(old, new)
        return text

    @property
    def hints(self) -> tuple[str, str, str]:
        """Where to look, by which requests it can be provoked, and how it shows."""
        files = "nginx" if self.hop == "nginx" else "the workers" if self.hop == "worker" else "the API servers"
        return f"Look at what {files} log.", PROVOKE[self.cause], f"It is in {self.hop}: {self.seen}"


PROVOKE = {
    "replaced": "One request is enough: compare the ID that you sent with the one in the answer.",
    "dropped": "One request is enough: from which hop on has no line its ID?",
    "cut": "Send the longest ID that is allowed, 128 characters, and compare the whole of it.",
    "lower-case": "Send an ID with capital letters.",
    "swapped": "Send a dozen requests at once (make mystery send COUNT=12). Whose task has whose ID?",
    "retry": "Send a task that fails once and is retried (make mystery send TYPE=rehearsal).",
    "one-type": "Send one request of each type.",
    "one-replica": "Send a few requests one after the other, and look at which replica took each.",
    "reuse": "Send more tasks than there are processes (make mystery send COUNT=24), and look at the workers' lines.",
}

ITEM = '"correlation_id": correlation_id,'
INTO_KWARGS = '    if correlation_id:\n        kwargs["correlation_id"] = correlation_id\n'
TAKEN = "correlation_id=correlation_id):"
FROM_TASKQUEUE = "from taskqueue import risk\n"
API = ("fastapi-server-1", "fastapi-server-2", "fastapi-server-3")
LOST_IN = {
    "routes": ("import logging\n", "import logging\nimport os\n"),
    "task-service": ("from typing import Any\n", "import os\nfrom typing import Any\n"),
    "queue-service": ("import uuid\n", "import os\nimport uuid\n"),
}


def _item(hop: str, new: str) -> tuple[tuple[str, str], ...]:
    """Return the change by which a layer of the API hands on something else."""
    if hop == "queue-service":
        return ((" = correlation_id\n", f" = {new}\n"),)
    return ((ITEM, f'"correlation_id": {new},'),)


def _one_server(hop: str, server: str) -> Fault:
    new = f'None if os.environ["SERVICE_NAME"] == "{server}" else correlation_id'
    seen = f"what {server} hands on has no ID; the two other servers do it right."
    return Fault("one-replica", hop, seen, (LOST_IN[hop], *_item(hop, new)))


def _one_worker(worker: str) -> Fault:
    new = f'correlation_id=None if os.environ["SERVICE_NAME"] == "{worker}" else correlation_id):'
    seen = f"the lines of {worker} have no ID; those of the two other workers do."
    return Fault("one-replica", "worker", seen, ((FROM_TASKQUEUE, f"import os\n\n{FROM_TASKQUEUE}"), (TAKEN, new)))


def _one_type(label: str, task_type: str) -> Fault:
    old = f'task_log("{label}", task_id=self.request.id, correlation_id=correlation_id)'
    seen = f"tasks of type {task_type} log no ID; the other three types do."
    return Fault("one-type", "worker", seen, ((old, f'task_log("{label}", task_id=self.request.id)'),))


CUT = "of an ID with more than 32 characters, the rest is missing."
SMALL = "an ID with capital letters has small ones from there on."

BASIC: tuple[Fault, ...] = (
    Fault("replaced", "nginx", "it logs, answers and sends on an ID of its own."),
    Fault("dropped", "routes", "it has the ID, and hands on none."),
    Fault("dropped", "task-service", "the routes hand the ID on, and it hands on none."),
    Fault("dropped", "queue-service", "the task service hands the ID on, and the message has none."),
    Fault("dropped", "worker", "the message has the ID, and the worker logs none."),
)
RARE: tuple[Fault, ...] = (
    Fault("cut", "nginx", CUT, (
        ('"~^[A-Za-z0-9._-]{1,128}$"  $http_x_request_id;', '"~^(?<known>[A-Za-z0-9._-]{1,32})"  $known;'),
    )),
    Fault("cut", "routes", CUT, _item("routes", "correlation_id[:32]")),
    Fault("cut", "queue-service", CUT, _item("queue-service", "correlation_id[:32]")),
    Fault("lower-case", "routes", SMALL, _item("routes", "correlation_id.lower()")),
    Fault("lower-case", "queue-service", SMALL, _item("queue-service", "correlation_id.lower()")),
    Fault("lower-case", "worker", SMALL, ((TAKEN, "correlation_id=correlation_id and correlation_id.lower()):"),)),
    Fault("swapped", "queue-service", "of requests at the same time, one task has another request's ID.", (
        ("import uuid\n", "import time\nimport uuid\n"),
        ("\n\ndef submit_task(", "\nlatest: dict[str, Any] = {}\n\n\ndef submit_task("),
        (INTO_KWARGS, '    latest["correlation_id"] = correlation_id\n'
         "    time.sleep(0.02)  # stands for a look-up that takes its time\n"),
        ("    log_hand_off(", "    kwargs.update(latest)\n    log_hand_off("),
    )),
    Fault("retry", "worker", "the first run of a task has the ID, the retry has none.", (
        (FROM_TASKQUEUE, f"from celery.signals import before_task_publish\n\n{FROM_TASKQUEUE}"),
        ("from taskqueue.worker import app\n",
         "from taskqueue.worker import app\n\n\n@before_task_publish.connect\n"
         "def only_what_it_needs(body, headers, **_):\n"
         '    if headers.get("retries"):\n        body[1].pop("correlation_id", None)\n'),
    )),
    _one_type("Stress test", "stress_test"),
    _one_type("Pricing", "monte_carlo_pricing"),
    Fault("one-type", "task-service", "tasks of type portfolio_optimization are handed on without their ID.", _item(
        "task-service", 'None if task_type == "portfolio_optimization" else correlation_id'
    )),
    *(_one_server(hop, server) for hop in LOST_IN for server in API[1:]),
    *(_one_worker(f"celery-worker-{number}") for number in (1, 3)),
    Fault("reuse", "worker", "a task has the ID of the first task that ran in the same process.", (
        ("from taskqueue.worker import app\n",
         "from taskqueue.worker import app\n\ncontext = {}\n"),
        (TAKEN, 'correlation_id=context.setdefault("correlation_id", correlation_id)):'),
    )),
)  # fmt: skip
