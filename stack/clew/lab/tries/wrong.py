"""Known wrong fixes of each layer, as changes of our own fix or of the file as it was found.

They are what learners write. Each is run in the tests and must be refused with the words of the rule it is named after.
"""

from __future__ import annotations

from dataclasses import dataclass

from clew import ladder


@dataclass(frozen=True)
class Wrong:
    """A wrong fix: `changes` are texts of our fix and what stands there instead; each old text occurs in the file."""

    number: int
    key: str
    title: str
    changes: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The whole file.

        Raises:
            ValueError: an old text is not in the file any more.
        """
        text = ladder.source(ladder.changed_layer(self.number), fixed=True).read_text()
        for old, new in self.changes:
            if old not in text:
                raise ValueError(f"{self.key} of layer {self.number}: {old!r} is not in the file")
            text = text.replace(old, new)
        return text


VALID = '"~^[A-Za-z0-9._-]{1,128}$"'
ID_ITEM = '        "correlation_id": correlation_id,\n'
LOG_ROUTES = 'log_hand_off("routes", arguments)'
LOG_TASK_SERVICE = 'log_hand_off("task-service", arguments)'
NEW_ID = '        "correlation_id": str(uuid.uuid4()),\n'
INTO_KWARGS = '    if correlation_id:\n        kwargs["correlation_id"] = correlation_id\n'
SEND = "task_id=task_id, queue=queue)\n    return"
NAMED = "correlation_id: str | None = None, **_: Any"

WRONG: tuple[Wrong, ...] = (
    Wrong(1, "no_fallback", "no fallback when the client sends no ID", (
        ("    default                     $request_id;\n", ""),
        ('"~^[A-Za-z0-9._-]{1,128}$"  $http_x_request_id;', "default $http_x_request_id;"),
    )),
    Wrong(1, "anything_goes", "whatever the client sends is kept", (
        ('"~^[A-Za-z0-9._-]{1,128}$"  $http_x_request_id;', '"~."  $http_x_request_id;'),
    )),
    Wrong(1, "wrong_place", "the header is set outside of the location", (
        ("        proxy_set_header X-Request-ID $correlation_id;\n", ""),
        ("    location / {", "    proxy_set_header X-Request-ID $correlation_id;\n\n    location / {"),
    )),
    Wrong(1, "logged_only", "logged, and not sent on", (
        ("proxy_set_header X-Request-ID $correlation_id;", "proxy_set_header X-Request-ID $request_id;"),
    )),
    Wrong(1, "not_logged", "sent on, and not logged", (
        ('"correlation_id":"$correlation_id"', '"correlation_id":"$request_id"'),
    )),
    Wrong(1, "not_answered", "the client's answer has another ID", (
        ("add_header X-Request-ID $correlation_id always;", "add_header X-Request-ID $request_id always;"),
    )),
    Wrong(1, "constant", "a constant", (
        ("default                     $request_id;", 'default "MY-TRACE-123";'),
        ('    "~^[A-Za-z0-9._-]{1,128}$"  $http_x_request_id;\n', ""),
    )),
    Wrong(1, "too_wide", "whatever has no quote in it is kept", ((VALID, r'"~^[^\"]+$"'),)),
    Wrong(1, "no_limit", "no limit of 128 characters", ((VALID, '"~^[A-Za-z0-9._-]+$"'),)),
    Wrong(1, "too_narrow", "small letters only", ((VALID, '"~^[a-z0-9-]{1,128}$"'),)),
    Wrong(1, "same_fallback", "one text where there is no ID", (("$request_id;\n    \"~", 'no-id;\n    "~'),)),
    Wrong(2, "made_up", "a new UUID", (
        ("import logging\n", "import logging\nimport uuid\n"), (ID_ITEM, NEW_ID),
    )),
    Wrong(2, "constant", "a constant", ((ID_ITEM, '        "correlation_id": "MY-TRACE-123",\n'),)),
    Wrong(2, "read_again", "the header is read a second time", (
        (ID_ITEM, '        "correlation_id": request.headers.get("X-Request-ID"),\n'),
    )),
    Wrong(2, "none_as_text", "a header that is not there, as text", (
        (ID_ITEM, '        "correlation_id": str(request.headers.get("X-Correlation-ID")),\n'),
    )),
    Wrong(2, "not_sent_on", "logged, and not sent on", (
        (ID_ITEM, ""), (LOG_ROUTES, 'log_hand_off("routes", {**arguments, "correlation_id": correlation_id})'),
    )),
    Wrong(2, "mixed_up", "a variable of the whole process", (
        ("    correlation_id = request.state.correlation_id\n",
         "    global correlation_id\n    correlation_id = request.state.correlation_id\n"),
    )),
    Wrong(3, "made_up", "a new UUID", (
        ("from typing import Any", "import uuid\nfrom typing import Any"), (ID_ITEM, NEW_ID),
    )),
    Wrong(3, "constant", "a constant", ((ID_ITEM, '        "correlation_id": "MY-TRACE-123",\n'),)),
    Wrong(3, "queue_forgotten", "the queue is forgotten", (('        "queue": priority,\n', ""),)),
    Wrong(3, "required", "an argument without a default", ((NAMED, "correlation_id: str, **_: Any"),)),
    Wrong(3, "in_the_data", "among the task's data", (
        (ID_ITEM, ""), ("    arguments = {", '    task_data["correlation_id"] = correlation_id\n    arguments = {'),
    )),
    Wrong(3, "not_sent_on", "logged, and not sent on", (
        (ID_ITEM, ""),
        (LOG_TASK_SERVICE, 'log_hand_off("task-service", {**arguments, "correlation_id": correlation_id})'),
    )),
    Wrong(3, "nothing_returned", "without an ID nothing is returned", (
        ("    return queue_service", "    if correlation_id:\n        return queue_service"),
    )),
    Wrong(4, "celerys_property", "as Celery's own correlation_id", (
        (INTO_KWARGS, ""), (SEND, f"correlation_id=correlation_id, {SEND}"),
    )),
    Wrong(4, "in_a_header", "as a header of the message", (
        (INTO_KWARGS, ""), (SEND, f'headers={{"x_correlation_id": correlation_id}}, {SEND}'),
    )),
    Wrong(4, "overwritten_header", "as a header named correlation_id", (
        (INTO_KWARGS, ""), (SEND, f'headers={{"correlation_id": correlation_id}}, {SEND}'),
    )),
    Wrong(4, "callers_dict", "the caller's dictionary is changed", (
        ("kwargs = dict(task_data)", "kwargs = task_data"),
    )),
    Wrong(4, "none_as_text", "None as text", (
        (INTO_KWARGS, '    kwargs["correlation_id"] = str(correlation_id)\n'),
    )),
    Wrong(4, "task_id_taken", "the ID becomes the task ID", (
        ("task_id = str(uuid.uuid4())", "task_id = correlation_id or str(uuid.uuid4())"),
    )),
    Wrong(4, "required", "an argument without a default", ((NAMED, "correlation_id: str, **_: Any"),)),
    Wrong(4, "not_sent_on", "logged, and not sent on", (
        (INTO_KWARGS, ""),
        ('log_hand_off("queue-service", kwargs,',
         'log_hand_off("queue-service", {**kwargs, "correlation_id": correlation_id},'),
    )),
    Wrong(4, "not_in_ledger", "below `ledger.accept`", (
        (INTO_KWARGS, ""), ("    log_hand_off(", f"{INTO_KWARGS}    log_hand_off("),
    )),
    Wrong(4, "no_message", "the message is not sent", (
        ("    celery_app.send_task(task_name, kwargs=kwargs, task_id=task_id, queue=queue)\n", ""),
    )),
    Wrong(4, "forgotten", "a task without an ID is neither accepted nor sent", (
        ("    ledger.accept", "    if not correlation_id:\n        return task_id\n    ledger.accept"),
    )),
    Wrong(4, "invented", "a new UUID where there is no ID", (
        (INTO_KWARGS, '    kwargs["correlation_id"] = correlation_id or str(uuid.uuid4())\n'),
    )),
    Wrong(4, "only_in_requests", "from the request instead of the argument", (
        ("from taskqueue.reliability import ledger", "from taskqueue.reliability import intake, ledger"),
        ("    kwargs = dict(task_data)\n",
         "    kwargs = dict(task_data)\n    correlation_id = intake.current().request_id\n"),
    )),
    Wrong(5, "celerys_own", "Celery's own correlation_id", (
        ("correlation_id=correlation_id):", "correlation_id=self.request.correlation_id):"),
    )),
    Wrong(5, "some_tasks", "one of the four tasks", (
        ('"Pricing", task_id=self.request.id, correlation_id=correlation_id', '"Pricing", task_id=self.request.id'),
        ('"Optimization", task_id=self.request.id, correlation_id=correlation_id',
         '"Optimization", task_id=self.request.id'),
        ('"Stress test", task_id=self.request.id, correlation_id=correlation_id',
         '"Stress test", task_id=self.request.id'),
    )),
    Wrong(5, "required", "an argument without a default", (
        ("self, portfolio_data, confidence_level=0.95", "self, portfolio_data, correlation_id, confidence_level=0.95"),
        ("    correlation_id=None, **_\n):\n    with task_log(\"VaR\"", "    **_\n):\n    with task_log(\"VaR\""),
    )),
    Wrong(5, "made_up", "a new UUID", (
        ("from taskqueue import risk", "import uuid\n\nfrom taskqueue import risk"),
        ("correlation_id=correlation_id):", "correlation_id=str(uuid.uuid4())):"),
    )),
    Wrong(5, "constant", "a constant", (("correlation_id=correlation_id):", 'correlation_id="MY-TRACE-123"):'),)),
)  # fmt: skip
