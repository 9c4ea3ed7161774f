"""The exercises of notebooks 2 to 5, one for each layer behind nginx. See `exercises.py` for what a check is."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from clew.lab.attempt import answer, call, kind, require, shown

SENT = "MY-TRACE-123"
OTHER = "ORDER-7"  # a second request, for answers that know only the first
TASK = "64cecbac-6e28-4001-b1a7-0d9a3f6c5e21"
EVERY_REQUEST = (
    "A second request came with {sent}, and you pass on {found}. Do not write an ID into the code: use the one "
    "that you are given, or all requests look like one."
)


def require_by_name(function: Any) -> None:
    """Refuse a function whose signature does not say that it takes the ID."""
    try:
        named = "correlation_id" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # it has no signature that could be read
        named = False
    require(
        named,
        "The ID arrives, but your signature does not say so: you take it out of a dictionary of everything. A reader, "
        "an editor or a type checker cannot see that this function needs it. Give it a parameter: correlation_id=None.",
    )


# --- 02: routes -------------------------------------------------------------------------------------------------------


def arguments(build: Any) -> str:
    """`build(submission, correlation_id)` must return the keyword arguments for the task service."""
    data: dict[str, Any] = {"portfolio_data": {"positions": []}}
    submission = SimpleNamespace(task_type="calculate_var", data=copy.deepcopy(data), priority="high")
    built = answer(build, submission, SENT)
    require(isinstance(built, dict), f"Return a dictionary of arguments; yours returned {kind(built)}.")
    nested = built.get("task_data")
    require(
        not (isinstance(nested, dict) and "correlation_id" in nested),
        "You put the ID into task_data. That is the client's portfolio: context travels next to it, not in it, or "
        "every reader of the data has to know about tracing.",
    )
    unknown = sorted(map(str, set(built) - {"task_type", "task_data", "priority", "correlation_id"}))
    require(
        not unknown,
        f"The task service has no argument {', '.join(unknown)}: `**_` swallows it silently. The name must be exactly "
        "correlation_id.",
    )
    require(
        "correlation_id" in built,
        "Not solved yet: correlation_id is not among the arguments. Having the ID in a variable is not passing it on.",
    )
    require(
        built["correlation_id"] == SENT,
        f"You pass on {shown(built['correlation_id'])}, but the client sent {SENT}. An ID that you create here starts "
        "a new trace; use the one you were given.",
    )
    require(
        (built.get("task_type"), nested, built.get("priority")) == ("calculate_var", data, "high"),
        "task_type, task_data and priority must still be there, unchanged.",
    )
    found = answer(build, submission, OTHER).get("correlation_id")
    require(found == OTHER, EVERY_REQUEST.format(sent=OTHER, found=shown(found)))
    return "Solved: one more argument, under the name that the receiver knows."


# --- 03: task service -------------------------------------------------------------------------------------------------


def conduit(make: Any) -> str:
    """`make(submit)` must return `create_task`, which calls `submit` with the ID by name."""
    calls: list[dict[str, Any]] = []

    def submit(*positional: Any, **named: Any) -> str:
        require(
            not positional,
            "Call submit with names, as in submit(queue=priority, …): positions tell a reader nothing.",
        )
        calls.append(named)
        return TASK

    create_task = answer(make, submit)

    def passed(or_else: str | None = None, priority: str = "high", **named: Any) -> dict[str, Any]:
        calls.clear()
        returned = call(
            create_task, task_type="calculate_var", task_data={}, priority=priority, or_else=or_else, **named
        )
        require(len(calls) == 1, f"submit was called {len(calls)} times; one task is one call.")
        require(returned == TASK, "Return the task ID that submit returns: the client needs it.")
        return calls[0]

    first = passed(correlation_id=SENT)
    require(
        "correlation_id" in first,
        "Not solved yet: the call succeeds, `**_` takes the ID, and submit never sees it. Take correlation_id by name "
        "and pass it on.",
    )
    found = first["correlation_id"]
    require(
        found == SENT, f"You pass on {shown(found)}, but the route gave you {SENT}. This layer only carries the ID."
    )
    require(
        "colour" not in passed(correlation_id=SENT, colour="blue"),
        "The ID arrives, and so does everything else that fell into `**_`: the next layer gets arguments it has never "
        "heard of. Take correlation_id by name, and pass on that alone.",
    )
    found = passed(correlation_id=OTHER)["correlation_id"]
    require(found == OTHER, EVERY_REQUEST.format(sent=OTHER, found=shown(found)))
    require(
        "queue" in first,
        "The ID arrives, but submit gets no queue any more: this layer's own work is to choose it. Adding the ID must "
        "not remove anything: pass queue=priority too.",
    )
    for priority in ("high", "low"):
        queue = passed(priority=priority, correlation_id=SENT).get("queue")
        require(
            queue == priority,
            f"A task of priority {priority} goes to the queue {shown(queue)}. The client chose the priority: pass "
            "queue=priority.",
        )
    require_by_name(create_task)
    without = [
        passed(
            "A caller that knows nothing of correlation IDs now fails. Give the parameter a default (None), so that "
            "old callers keep working while the fix is rolled out."
        ).get("correlation_id")
        for _ in range(2)
    ]
    require(
        without[0] == without[1],
        f"A caller that has no ID gets an invented one from you, such as {shown(without[0])}. No client knows it, and "
        "it hides that the ID was lost before this layer. nginx makes IDs; this layer only carries them: pass on None.",
    )
    require(
        without[0] is None,
        f"A caller that has no ID gets {shown(without[0])} from you. All requests without an ID then share one, and a "
        "search for it mixes them: the default must be None.",
    )
    return "Solved: by name, with a default, passed on unread. A business layer is a conduit for context."


# --- 04: queue service ------------------------------------------------------------------------------------------------


SENT_TWICE = (
    "send_task was called {count} times. Each call is a message of its own, with its own task ID: the same calculation "
    "runs more than once. Put the ID into the message that you send anyway."
)


def publish(attempt: Any) -> str:
    """`attempt(send_task, task_name, task_data, correlation_id)` must call send_task with the ID in the kwargs."""
    data: dict[str, Any] = {"portfolio_data": {"positions": []}}
    before = copy.deepcopy(data)
    sent: list[dict[str, Any]] = []

    def send_task(name: str, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        require(
            kwargs is None or isinstance(kwargs, Mapping),
            f"kwargs must be a dictionary of arguments; yours is {shown(kwargs)}.",
        )
        sent.append({"name": name, "kwargs": kwargs or {}, "options": options})

    call(attempt, send_task, "tasks.calculate_var", data, SENT)
    require(bool(sent), "Not solved yet: send_task was not called, so nothing is on the queue.")
    require(len(sent) == 1, SENT_TWICE.format(count=len(sent)))
    options, kwargs = sent[0]["options"], sent[0]["kwargs"]
    require(
        "correlation_id" not in options,
        "correlation_id next to kwargs is an option of Celery's: it sets properties.correlation_id of the message, "
        "where Celery keeps the task ID. It looks fixed, and the worker's function gets nothing. Put it inside kwargs.",
    )
    require(
        "headers" not in options,
        "A header never becomes an argument of the task's function, and Celery overwrites one named correlation_id. "
        "Put the ID inside kwargs, where the worker and Flower can see it.",
    )
    require(
        kwargs.get("correlation_id") == SENT,
        "Not solved yet: the message's kwargs contain no correlation_id, and the worker's function gets nothing else.",
    )
    require(
        data == before,
        "The ID is in the message, but you wrote it into the caller's own dictionary too. Copy it first: "
        "dict(task_data).",
    )
    require(kwargs.get("portfolio_data") == before["portfolio_data"], "The task's data is no longer in the message.")
    sent.clear()
    call(attempt, send_task, "tasks.price_option", {"strike": 150.0}, OTHER)
    require(len(sent) == 1, SENT_TWICE.format(count=len(sent)))
    found = sent[0]["kwargs"].get("correlation_id")
    require(found == OTHER, EVERY_REQUEST.format(sent=OTHER, found=shown(found)))
    require(
        sent[0]["name"] == "tasks.price_option",
        f"Asked for tasks.price_option, you send {shown(sent[0]['name'])}. A worker finds the function by this name: "
        "another name runs another calculation, or none. Pass task_name on as it is.",
    )
    sent.clear()
    call(attempt, send_task, "tasks.calculate_var", data, None)
    require(len(sent) == 1, f"For a request without an ID, send_task was called {len(sent)} times: it is a task too.")
    require(
        "correlation_id" not in sent[0]["kwargs"],
        "Without an ID you still send correlation_id=None. A worker that does not know the parameter yet would fail "
        "for nothing: leave the key out.",
    )
    return "Solved: a copy of the data, the ID inside kwargs, and nothing when there is nothing."


# --- 05: worker -------------------------------------------------------------------------------------------------------


def task(function: Any) -> str:
    """`function(self, portfolio_data, …)` must return the fields of its log line: task_id and correlation_id."""
    # Celery sets both to the task ID.
    bound = SimpleNamespace(request=SimpleNamespace(id=TASK, correlation_id=TASK))

    def fields(or_else: str, **named: Any) -> Mapping[str, Any]:
        found = call(function, bound, portfolio_data={}, or_else=or_else or None, **named)
        require(found is not None and found is not ..., "Not solved yet: your function returns nothing.")
        require(isinstance(found, Mapping), f"Return the fields as a dictionary; yours returned {kind(found)}.")
        return dict(found)

    logged = fields("", correlation_id=SENT)
    found = logged.get("correlation_id")
    require(
        found != TASK,
        "self.request.correlation_id is Celery's own: it is the task ID again. The client's ID comes as an argument "
        "of the function.",
    )
    require(
        found == SENT,
        f"Not solved yet: the log line says correlation_id={shown(found)}, but the message carried {SENT}. Take "
        "correlation_id by name and log it.",
    )
    found = fields("", correlation_id=OTHER).get("correlation_id")
    require(found == OTHER, EVERY_REQUEST.format(sent=OTHER, found=shown(found)))
    require(logged.get("task_id") == TASK, "task_id must stay in the log line: it is the link to status and result.")
    found = fields(
        "A message without an ID now makes the task fail. Such messages wait in the queue while you roll out: give "
        "the parameter a default."
    ).get("correlation_id")
    require(
        found is None,
        f"For a message without an ID your log says {shown(found)}. An invented value looks like a trace and leads "
        "nowhere: log None.",
    )
    fields(
        "An argument that a newer sender adds now makes the task fail. Leave `**_` where it was.",
        correlation_id=SENT,
        added_next_year=True,
    )
    require_by_name(function)
    return "Solved: by name, with a default, logged next to the task ID."


CHECKS: dict[str, Callable[[Any], str]] = {
    "arguments": arguments,
    "conduit": conduit,
    "publish": publish,
    "task": task,
}
