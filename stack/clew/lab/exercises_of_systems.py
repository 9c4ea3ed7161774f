"""The exercises of notebooks 6 to 9, which are about several services. See `exercises.py` for what a check is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from clew import ladder
from clew.lab import strict
from clew.lab.attempt import Unsolved, call, items, kind, require, shown

# --- 06: three IDs ----------------------------------------------------------------------------------------------------

# Which ID each situation needs, and why.
WHICH = {
    "a user asks why her request was slow": (
        "correlation",
        "A task ID shows you one task. Her request went through nginx and the API before there was a task: only the "
        "correlation ID is in all of those lines.",
    ),
    "a page polls whether a calculation is done": (
        "task",
        "Several tasks may share a correlation ID, as you saw, and the API answers 404 to one. Status belongs to one "
        "task: use its ID.",
    ),
    "cancel one of three calculations that a click started": (
        "task",
        "All three share the correlation ID; cancelling by it could only hit all or none. Name the one task.",
    ),
    "find every task that a click started": (
        "correlation",
        "Each task ID names one task. What they have in common is where they came from: the correlation ID.",
    ),
    "send an order again because its answer did not arrive": (
        "key",
        "The client has no task ID yet, and the same correlation ID led to three tasks above. Only the same "
        "Idempotency-Key makes the second attempt the same order.",
    ),
}


def which(answers: Any) -> str:
    """`answers` must name the right ID, "correlation", "task" or "key", for each of five situations."""
    require(isinstance(answers, Mapping), f"Answer with the dictionary of the exercise; yours is {shown(answers)}.")
    open_ones = [situation for situation in WHICH if answers.get(situation, "?") == "?"]
    if open_ones:
        raise Unsolved(f"Not solved yet: {len(open_ones)} of {len(WHICH)} are open, the first: {open_ones[0]}.")
    wrong = []
    for situation, (right, why) in WHICH.items():
        said = answers[situation]
        names = 'say "correlation", "task" or "key"'
        require(said in ("correlation", "task", "key"), f"{shown(said)} is none of the three: {names}.")
        if said == "key":
            why = "An Idempotency-Key names one wish of a client, in its POST alone: nothing is looked up by it. " + why
        if said != right:
            wrong.append(f"{situation}: not by {said if said == 'key' else f'{said} ID'}. {why}")
    require(not wrong, "\n".join(wrong))
    return "Solved: correlation to follow a request, task to name one piece of work, key to ask for it only once."


# --- 07: receivers first ----------------------------------------------------------------------------------------------


SHOWN_ABOVE = ["worker", "queue-service", "task-service", "routes", "nginx"]


def rollout(attempt: Any) -> str:
    """`attempt` must name the five layers so that with strict signatures no request fails on the way."""
    order = [str(hop) for hop in items(attempt, "Answer with a list of the five layers.")]
    require("?" not in order, "Not solved yet: name all five layers.")
    missing = sorted(set(ladder.HOPS) - set(order))
    require(sorted(order) == sorted(ladder.HOPS), f"Name each layer once; missing: {', '.join(missing) or 'none'}.")
    for mix in strict.mixes(order):
        status, end = strict.expected(mix)
        fixed = [hop for hop in order if mix[ladder.HOPS.index(hop)] == "1"]
        done = f"With {', '.join(fixed) or 'nothing'} fixed, "
        require(
            status != 500 or "task-service" in fixed,
            done + "the routes pass an argument that the task service does not know yet: HTTP 500.",
        )
        require(
            status != 500,
            done + "the task service passes an argument that the queue service does not know yet: HTTP 500.",
        )
        require(
            end != "FAILURE",
            done + "the message carries an argument that the worker does not know yet: HTTP 201, and the task fails "
            "where no client looks.",
        )
    require(
        order != SHOWN_ABOVE,
        "That order works, but it is the one shown above. Find another one: which of the five passes no argument, so "
        "that its place does not matter?",
    )
    return (
        "Solved: every receiver knows the argument before anyone sends it. nginx sends none, so it may go at any time."
    )


# --- 08: the order of three queues ------------------------------------------------------------------------------------

# As they were accepted; one worker takes one at a time.
WAITING = ("low-1", "high-1", "medium-1", "low-2", "high-2", "medium-2")
STARTED = ("high-1", "high-2", "medium-1", "medium-2", "low-1", "low-2")
TURNS = ("high-1", "medium-1", "low-1", "high-2", "medium-2", "low-2")


def order(attempt: Any) -> str:
    """`attempt` must name six waiting tasks in the order in which one worker starts them."""
    found = [str(name) for name in items(attempt, "Answer with a list of the six tasks.")]
    require("?" not in found, "Not solved yet: name all six tasks.")
    missing = sorted(set(WAITING) - set(found))
    require(
        sorted(found) == sorted(WAITING), f"Name each of the six tasks once; missing: {', '.join(missing) or 'none'}."
    )
    told = tuple(found)
    require(
        told != WAITING,
        "That is the order in which they were accepted: one queue would do that. There are three, and a worker looks "
        "into `high` first.",
    )
    require(
        told != TURNS,
        "The queues take turns in your order, which is what Celery does with Redis by default. Here the order is "
        "strict: as long as `high` has a task, nothing is taken from the other two.",
    )
    require(
        told != tuple(reversed(STARTED)), "The other way round: your worker starts with the least urgent task of all."
    )
    for queue in ("high", "medium", "low"):
        of_queue = [name for name in found if name.startswith(queue)]
        require(
            of_queue == sorted(of_queue),
            f"Within one queue, first in, first out: {queue}-1 was accepted before {queue}-2.",
        )
    for name, right in zip(told, STARTED, strict=True):
        require(
            name == right,
            f"{name} starts too early: a more urgent task still waits. Empty `high` first, then `medium`, then `low`.",
        )
    return "Solved: strict priority between queues, first in, first out within each. What is low waits longest."


# --- 08: when to send again -------------------------------------------------------------------------------------------


def retry(decide: Any) -> str:
    """`decide(status, retry_after, tries)` must return the seconds to wait before the next try, None for no more.

    `status` is None when there was no answer; `retry_after` is the header's text or None; `tries` counts from 1.
    """

    def seconds(status: int | None, header: str | None, tries: int, why: str) -> float:
        found = call(decide, status, header, tries)
        require(found is not ..., "Not solved yet: your function returns nothing.")
        require(found is not None, why)
        require(
            isinstance(found, int | float) and not isinstance(found, bool),
            f"Return a number of seconds, or None; for {status} and Retry-After {header} yours returned "
            f"{shown(found)}, which is a {kind(found)}. A header is text: float(…).",
        )
        return float(found)

    again = "Not solved yet: for HTTP 503 you do not try again. The service is busy, not broken, and says when to come."
    for asked, most in ((7, 30), (20, 90), (1, 15)):
        waits = [seconds(503, str(asked), 1, again) for _ in range(40)]
        require(
            min(waits) >= asked,
            f"The server asked for {asked} s, and you come back after {min(waits):g} s. Until then it only refuses you "
            "again, and each refusal costs it time that it needs for the queue.",
        )
        require(max(waits) <= most, f"After Retry-After: {asked} you wait {max(waits):g} s. The user has left by then.")
    without = [
        seconds(503, None, tries, "A 503 without Retry-After is worth another try as well.") for tries in (1, 2, 3)
    ]
    require(min(without) > 0, "Without Retry-After you try again at once: a thousand clients that do so are an attack.")
    lost = seconds(
        None, None, 1, "Without an answer nobody knows whether there is a task: try again, with the same key."
    )
    require(lost > 0, "When there was no answer you try again at once. Wait a little: something is wrong there.")
    for status, why in (
        (201, "You send again what was accepted with 201."),
        (200, "You send again what was answered with 200: the task is there."),
        (422, "You send a request again that was answered with 422. It will never be right: fix it instead."),
        (400, "You send a request again that was answered with 400. It will never be right: fix it instead."),
    ):
        require(call(decide, status, None, 1) is None, why)
    require(
        call(decide, 503, "7", 1000) is None,
        "You never give up: after a thousand tries you still try again. Stop after some, and tell the user.",
    )
    return (
        "Solved: wait at least as long as the server says, never for an answer that will not change, and not for ever."
    )


# --- 09: an effect that may be asked for twice ------------------------------------------------------------------------


class Bookings:
    """What a task can do to the table of bookings. Between two calls, another worker may do the same."""

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.written: list[Any] = []
        self.meanwhile: Callable[[], Any] | None = None

    def exists(self, key: Any) -> bool:
        found = self._hashable(key) in self.rows
        self._other_worker()
        return found

    def put(self, key: Any, amount: Any) -> None:
        self.rows[self._hashable(key)] = amount
        self.written.append(amount)

    def put_if_absent(self, key: Any, amount: Any) -> bool:
        if self._hashable(key) in self.rows:
            return False
        self.put(key, amount)
        return True

    def _other_worker(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()

    @staticmethod
    def _hashable(key: Any) -> Any:
        try:
            hash(key)
        except TypeError:
            raise Unsolved(f"A key must be one value, such as a text; yours is {shown(key)}.") from None
        return key


def a_task(number: int, amount: int = 100, correlation_id: str = "PORTFOLIO-42") -> SimpleNamespace:
    return SimpleNamespace(id=f"task-{number}", correlation_id=correlation_id, amount=amount, run=1)


def book(attempt: Any) -> str:
    """`attempt(bookings, task)` must book `task.amount` once for a task, however often it is called for it."""
    bookings = Bookings()
    call(attempt, bookings, a_task(1))
    require(bool(bookings.written), "Not solved yet: nothing was booked.")
    require(bookings.written == [100], f"One run of one task booked {shown(bookings.written)}; it should be 100, once.")
    again = a_task(1)
    again.run = 2
    call(attempt, bookings, again)
    require(
        len(bookings.written) == 1,
        "The task ran again, and you booked again: the customer pays twice. If the key has the run, the time or "
        "anything random in it, each run has a key of its own. Use what is the same in every run.",
    )
    call(attempt, bookings, a_task(2))
    require(
        len(bookings.written) == 2,
        "Another task with the same amount and the same correlation ID was not booked. Three tasks may share a "
        "correlation ID, as in notebook 6, and two customers may pay the same amount: the key must be this task's own.",
    )
    racing = Bookings()
    racing.meanwhile = lambda: call(attempt, racing, a_task(3))
    call(attempt, racing, a_task(3))
    require(
        len(racing.written) == 1,
        "You look first and write then. Between the two, the other run of the same task looked too: both saw nothing, "
        "and both booked. Look and write in one step: put_if_absent.",
    )
    require(Counter(racing.rows.values()) == {100: 1}, f"The table has {shown(racing.rows)}; it should have 100, once.")
    return "Solved: one key per task, the same in every run, and one step that looks and writes."


CHECKS: dict[str, Callable[[Any], str]] = {
    "which": which,
    "rollout": rollout,
    "order": order,
    "retry": retry,
    "book": book,
}
