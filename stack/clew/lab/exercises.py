"""The exercises of the notebooks: the learner's code is called with examples, and the result is told in words.

A check is a function of the attempt. It raises Unsolved with what does not hold and why that matters, and returns what
holds. It calls the learner's code only through `clew.lab.attempt`, so a check never stops: whatever the learner
returns, they read a sentence about it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from clew.lab import exercises_of_layers, exercises_of_logs, exercises_of_systems, exercises_of_ways
from clew.lab.attempt import Unsolved, answer, items, require, shown
from clew.lab.exercises_of_layers import SENT, TASK
from clew.show.display import Words

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
    for wanted, services in (("MY-TRACE-1234", {"fastapi-server-3"}), ("NOBODY-SENT-THIS", set())):
        other = items(answer(found_in, copy.deepcopy(LINES), wanted), names)
        require(
            set(other) == services,
            f"Asked for {wanted}, your search finds {', '.join(map(str, other)) or 'nothing'}; expected "
            f"{', '.join(services) or 'nothing'}. Look for `wanted`, whatever it is, not for one fixed ID.",
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
    (
        "\u0663-1",
        OWN,
        "Your pattern accepts \u0663, a digit of another script: in Python `\\d` matches digits of any language. Name "
        "them: 0-9.",
    ),
    (
        "a;b",
        OWN,
        "Your pattern accepts a;b. It lists what is forbidden, or a range such as !-~ with every punctuation mark in "
        "it: ; ends a command, < opens a tag, % begins an escape. Name what is allowed, and nothing else.",
    ),
    (
        "a^b",
        OWN,
        "Your pattern accepts a^b. Between Z and a there are six more characters, [ \\ ] ^ _ and `: the range A-z "
        "contains them. Write A-Za-z.",
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


CHECKS: dict[str, Callable[[Any], str]] = {
    "search": search,
    "keep-or-make": keep_or_make,
    **exercises_of_layers.CHECKS,
    **exercises_of_systems.CHECKS,
    **exercises_of_logs.CHECKS,
    **exercises_of_ways.CHECKS,
}
