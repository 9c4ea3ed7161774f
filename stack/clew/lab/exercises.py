"""The exercises of the notebooks: the learner's code is called with examples, and the result is told in words.

A check is a function of the attempt. It raises Unsolved with what does not hold and why that matters, and returns what
holds. It calls the learner's code only through `clew.lab.attempt`, so a check never stops: whatever the learner
returns, they read a sentence about it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from clew.lab import exercises_of_systems
from clew.lab.attempt import Unsolved, answer, call, items, kind, require, shown
from clew.show.display import Words

SENT = "MY-TRACE-123"
TASK = "64cecbac-6e28-4001-b1a7-0d9a3f6c5e21"
OWN = "d6d08c7d047286833cf3cece08dfd160"


def check(name: str, attempt: Any) -> Words:
    """Tell in words what holds of an attempt at an exercise, and what does not."""
    if name not in CHECKS:
        return Words(f"There is no exercise {name!r}; there are {', '.join(CHECKS)}.", ok=False)
    try:
        return Words(CHECKS[name](attempt), ok=True)
    except Unsolved as reason:
        return Words(str(reason), ok=False)
    except Exception as error:  # noqa: BLE001 - an object of the learner's may do anything when it is compared
        words = f"Your answer cannot be checked: looking at it fails with {type(error).__name__}. Return plain values."
        return Words(words, ok=False)


# --- 00: search by hand -----------------------------------------------------------------------------------------------

LINES: list[dict[str, Any]] = [
    {"service": "nginx-loadbalancer", "correlation_id": SENT},
    {"service": "fastapi-server-2", "correlation_id": SENT, "hop": "routes"},
    {"service": "fastapi-server-2", "correlation_id": SENT, "hop": "task-service"},
    {"service": "fastapi-server-3", "correlation_id": "MY-TRACE-1234"},
    {"service": "celery-worker-1", "correlation_id": None, "task_id": TASK},
    {"service": "flower", "message": "no such field here"},
]


def search(found_in: Any) -> str:
    """`found_in(lines, wanted)` must return the services, each once, whose lines have the ID as correlation_id."""
    names = "Return a collection of service names, such as a set."
    found = items(answer(found_in, copy.deepcopy(LINES), SENT), names)
    require(all(isinstance(name, str) for name in found), f"{names} Yours contains {shown(found[:1])}.")
    require(
        "fastapi-server-3" not in found,
        "Your search finds MY-TRACE-123 in a line of MY-TRACE-1234. Someone else's request is now part of your "
        "trace: compare whole IDs (==), not parts of a text (in).",
    )
    require(
        "celery-worker-1" not in found,
        "Your search names celery-worker-1, whose line has no ID at all. A line that says nothing about the ID does "
        "not prove that the ID was there.",
    )
    require(
        len(found) == len(set(found)),
        "fastapi-server-2 is named more than once. It wrote several lines, but the question is which services know "
        "the ID: a set answers it.",
    )
    require(
        set(found) == {"nginx-loadbalancer", "fastapi-server-2"},
        f"Expected nginx-loadbalancer and fastapi-server-2; yours found {', '.join(sorted(found)) or 'nothing'}.",
    )
    return "Solved: whole IDs, each service once, and a line without an ID does not count."


# --- 01: nginx --------------------------------------------------------------------------------------------------------

GOOD_BEGINNING = (
    "Your pattern accepts any text that begins well and ignores the rest. Match the whole text (re.fullmatch, or "
    "^…\\Z; a $ alone overlooks a newline)."
)
NO_HARM = "You reject a harmless ID, such as order.7_b-9 or one of 128 letters. Not every client sends a UUID."
# What the client sent, the ID to use, and why any other one is wrong.
SENT_IDS: tuple[tuple[str, str, str], ...] = (
    (SENT, SENT, f"The client sent {SENT}, and your nginx passes on {{found}}: that is the bug of stage 0."),
    (
        "",
        OWN,
        "A client that sends no ID gets none from you. Then nobody can trace its request: fall back to nginx's own ID.",
    ),
    (
        'x" injected="yes',
        OWN,
        'You pass on anything that is not empty, even x" injected="yes. It ends up in logs, in JSON and in other '
        "people's searches: allow letters, digits, dot, dash and underscore, and nothing else.",
    ),
    (f"{SENT}\n", OWN, GOOD_BEGINNING),
    (f"{SENT} and more", OWN, GOOD_BEGINNING),
    (
        "é-1",
        OWN,
        "Your pattern accepts é as a letter: in Python `\\w` matches letters of any language. Name the letters, "
        "[A-Za-z0-9._-]: the programs that read the ID after you may know no others.",
    ),
    ("a" * 129, OWN, "An ID of 129 characters passes. Without a limit, one client fills your logs: 128 is plenty."),
    ("order.7_b-9", "order.7_b-9", NO_HARM),
    ("A" * 128, "A" * 128, NO_HARM),
)


def keep_or_make(decide: Any) -> str:
    """`decide(sent, own)` must return the client's ID when it is usable, else nginx's own; `sent` may be ""."""
    for sent, wanted, why in SENT_IDS:
        found = answer(decide, sent, OWN)
        require(found == wanted, why.replace("{found}", shown(found)))
    return "Solved: a usable ID is kept, everything else is replaced by nginx's own. That is what the `map` does."


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
    wanted: dict[str, Any] = {"task_type": "calculate_var", "task_data": {}, "priority": "high"}
    returned = call(create_task, **wanted, correlation_id=SENT)
    require(len(calls) == 1, f"submit was called {len(calls)} times; one task is one call.")
    passed = calls[0].get("correlation_id")
    require(
        "correlation_id" in calls[0],
        "Not solved yet: the call succeeds, `**_` takes the ID, and submit never sees it. Take correlation_id by name "
        "and pass it on.",
    )
    require(
        passed == SENT, f"You pass on {shown(passed)}, but the route gave you {SENT}. This layer only carries the ID."
    )
    call(create_task, **wanted, correlation_id=SENT, colour="blue")
    require(
        "colour" not in calls[-1],
        "The ID arrives, and so does everything else that fell into `**_`: the next layer gets arguments it has never "
        "heard of. Take correlation_id by name, and pass on that alone.",
    )
    require(returned == TASK, "Return the task ID that submit returns: the client needs it.")
    call(
        create_task,
        **wanted,
        or_else="A caller that knows nothing of correlation IDs now fails. Give the parameter a default (None), so "
        "that old callers keep working while the fix is rolled out.",
    )
    return "Solved: by name, with a default, passed on unread. A business layer is a conduit for context."


# --- 04: queue service ------------------------------------------------------------------------------------------------


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
    call(attempt, send_task, "tasks.calculate_var", data, None)
    require(
        bool(sent) and "correlation_id" not in sent[0]["kwargs"],
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
    return "Solved: by name, with a default, logged next to the task ID."


CHECKS: dict[str, Callable[[Any], str]] = {
    "search": search,
    "keep-or-make": keep_or_make,
    "arguments": arguments,
    "conduit": conduit,
    "publish": publish,
    "task": task,
    **exercises_of_systems.CHECKS,
}
