"""What is wrong with a fix, told from what the stack does: what the known wrong fixes of each layer look like.

Each rule is a function of what was seen. It returns words when it knows what it sees, otherwise None; the first rule of
a layer that knows is the one that is told. The rules' names are the keys of the wrong fixes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from clew import ladder
from clew.lab.tries.seen import Asked, Seen
from clew.stacks.services import NGINX
from taskqueue.contract import VALID_ID

Rule = Callable[[Seen], str | None]
NO_TEXT = ("None", "null", "nil", "undefined", "-")


@dataclass(frozen=True)
class Finding:
    """What is wrong: the name of the rule that knows it, and its words."""

    key: str
    words: str


def diagnose(seen: Seen) -> Finding | None:
    """Return what is wrong with the layer, None when nothing is."""
    for rule in rules(seen.number):
        words = rule(seen)
        if words is not None:
            return Finding(rule.__name__, words)
    return None


def rules(number: int) -> tuple[Rule, ...]:
    """Return the rules of a layer in the order in which they are asked."""
    return (*FIRST, *OF_LAYER[ladder.HOPS[number - 1]], *LAST)


# --- before anything can be said of the layer -------------------------------------------------------------------------


def queue_forgotten(seen: Seen) -> str | None:
    error = _refusal(seen)
    if error and "TypeError" in error and "'queue'" in error:
        return (
            f"The stack answered 500: {error}. The queue is no longer handed on. A task's priority decides on which "
            "queue it waits; keep every argument that was there, and add one."
        )
    return None


def refused(seen: Seen) -> str | None:
    error = _refusal(seen)
    if error is None:
        return None
    status = next(one.answer.status_code for one in seen.asked if not one.accepted)
    return f"The stack answered {status} instead of 201: {error}. No ID is worth a request that worked before."


def _refusal(seen: Seen) -> str | None:
    asked = next((one for one in seen.asked if not one.accepted), None)
    return None if asked is None else seen.server_error(asked)


def no_message(seen: Seen) -> str | None:
    if seen.unsent and seen.hop == "queue-service":
        return (
            "A task was accepted, and its message is on no queue. It is not lost: a worker notices after some seconds, "
            "and sends the message from the ledger. That is for accidents; a task's message is sent at once, by "
            "`send_task`, with the task's own ID."
        )
    return None


def never_ran(seen: Seen) -> str | None:
    if any(one.accepted and one.state is None for one in seen.asked):
        return "A request was answered 201, and its task never ran. Is it on a queue that the workers read?"
    return None


def task_failed(seen: Seen) -> str | None:
    failed = next((one for one in seen.asked if one.state not in ("SUCCESS", None)), None)
    if failed is None:
        return None
    return f"A task of type {failed.task_type} ended as {failed.state}: {failed.error}. It worked before."


def lost_before(seen: Seen) -> str | None:
    for hop in ladder.HOPS[: seen.number - 1]:
        if _missing(seen, hop):
            return (
                f"The ID is lost in {hop} already, which comes before your layer and was fixed. Its file is not what "
                "it was: start over with RESET=1, or undo what you changed there."
            )
    return None


# --- nginx ------------------------------------------------------------------------------------------------------------


def no_fallback(seen: Seen) -> str | None:
    if "" in seen.handed_on("nginx"):
        return (
            "A request that came without an ID has none after nginx either, so nobody can trace it. Fall back to "
            "nginx's own `$request_id` when the client sends nothing."
        )
    return None


def anything_goes(seen: Seen) -> str | None:
    quoted = next((sent for sent in _passed_on(seen) if '"' in sent), None)
    if quoted:
        return (
            f"nginx passes on whatever it gets: a request with the ID {quoted} was logged with just that. It ends up "
            "in logs and in other people's searches. Keep letters, digits, dots, dashes and underscores, up to 128 of "
            "them, and replace everything else."
        )
    return None


def too_wide(seen: Seen) -> str | None:
    strange = [sent for sent in _passed_on(seen) if not VALID_ID.fullmatch(sent[:128])]
    if strange:
        return (
            f"nginx passes on an ID such as {strange[0]}. A list of what is forbidden forgets something, and a range "
            "such as A-z has more in it than letters. Name what is allowed, [A-Za-z0-9._-], from the first character "
            "(^) to the last ($)."
        )
    return None


def no_limit(seen: Seen) -> str | None:
    if _passed_on(seen):
        longest = max(map(len, _passed_on(seen)))
        return f"An ID of {longest} characters passes. Without a limit, one client fills your logs: 128 is plenty."
    return None


def same_fallback(seen: Seen) -> str | None:
    counts = Counter(found for found in seen.handed_on("nginx") if found not in (one.sent for one in seen.asked))
    found, count = counts.most_common(1)[0] if counts else ("", 0)
    if count > 1:
        return (
            f"{count} requests that came without a usable ID all have {found}: who searches for one of them finds all. "
            "nginx makes a new ID for each request, `$request_id`."
        )
    return None


def too_narrow(seen: Seen) -> str | None:
    kept = {*seen.handed_on("nginx"), *seen.received}
    replaced = [sent for sent in _sent(seen) if sent not in kept]
    if replaced and len(replaced) < len(_sent(seen)):
        what = min(replaced, key=len)
        told = what if len(what) < 100 else f"of {len(what)} characters"
        return (
            f"nginx replaces the ID {told}, which does no harm. Not every client sends what yours sends: keep letters, "
            "large and small, digits, dots, dashes and underscores, up to 128 of them."
        )
    return None


def nobody_sent_it(seen: Seen) -> str | None:
    if set(_missing(seen, "nginx")) and not set(_sent(seen)) & {*seen.handed_on("nginx"), *seen.received}:
        return "nginx logs an ID that nobody sent, as before: the client's is not looked at, or not logged."
    return None


def not_logged(seen: Seen) -> str | None:
    if set(_sent(seen)) <= set(seen.received) and not set(_sent(seen)) & set(seen.handed_on("nginx")):
        return (
            "The API servers get the client's ID, and nginx's own log line still has another one. Whoever searches the "
            "logs begins at nginx: use the same variable in `log_format`."
        )
    return None


def logged_only(seen: Seen) -> str | None:
    if set(_sent(seen)) - set(seen.received):
        return (
            "nginx logs the client's ID, and the API servers get another one: the log line is right, the request is "
            "not. Use the same variable in `proxy_set_header`, and in `add_header`."
        )
    return None


def wrong_place(seen: Seen) -> str | None:
    if any(not one.sent and one.wanted not in seen.received for one in seen.asked):
        return (
            "For a request without an ID, nginx logs and answers one, and the API server makes up another. So your "
            "`proxy_set_header` does nothing; with an ID it only looks right because nginx passes a client's headers "
            "on as they are. It must stand in the location that has `proxy_pass`: one further out is ignored as soon "
            "as a location has a `proxy_set_header` of its own."
        )
    return None


def not_answered(seen: Seen) -> str | None:
    if any(one.sent in _sent(seen) and one.answer.answered_id != one.sent for one in seen.asked):
        return (
            "The ID reaches the log and the API servers, but the client's answer has another one in X-Request-ID. Then "
            "a user who reports an error reports an ID that no log contains: use the same variable in `add_header`."
        )
    return None


# --- routes, task service ---------------------------------------------------------------------------------------------


def read_again(seen: Seen) -> str | None:
    for one in _past_nginx(seen):
        if not one.sent and one.wanted not in seen.handed_on("routes"):
            return (
                "A request that came past nginx without an ID was given one on its way in, and your route hands on "
                "another one, or none. Do not read the header a second time: `correlation_id` has what was decided."
            )
    return None


def in_the_data(seen: Seen) -> str | None:
    own = set(seen.handed_on(seen.hop))
    if own == {""} and set(_sent(seen)) & set(seen.handed_on("queue-service")):
        return (
            "Your layer hands on no ID, and yet the next one has it: it travels inside the task's data. Data are what "
            "a user sent and what a task calculates with; an ID among them is stored, compared and validated with "
            "them. Pass it as an argument of its own."
        )
    return None


def required(seen: Seen) -> str | None:
    for error in seen.called.errors if seen.called else ():
        if "correlation_id" in error and "missing" in error:
            return (
                f"A caller that does not know of the ID yet fails now: {error}. In a rollout there is always one: give "
                "the argument the default None."
            )
    return None


def caller_failed(seen: Seen) -> str | None:
    for error in seen.called.errors if seen.called else ():
        return f"Another caller of your layer, a program of its own, fails: {error}."
    return None


def nothing_returned(seen: Seen) -> str | None:
    if seen.called and len(seen.called.tasks) < len(seen.called.returned):
        which = "gave no ID" if seen.called.returned[0] else "gave an ID"
        return (
            f"Another caller of your layer, which {which}, got nothing back instead of a task ID: it can never ask "
            "for its result. Return the task ID on every way through the function."
        )
    return None


def forgotten(seen: Seen) -> str | None:
    called = seen.called
    if called and set(called.tasks) - set(called.ran):
        which = "gave no ID" if called.tasks[0] in called.ran else "gave an ID"
        return (
            f"Another caller of your layer, which {which}, got a task ID, and that task never ran. A task without "
            "an ID is a task all the same: accept it and send it."
        )
    return None


# --- queue service ----------------------------------------------------------------------------------------------------


def task_id_taken(seen: Seen) -> str | None:
    if any(one.task_id and one.task_id == one.sent for one in seen.asked):
        return (
            "The task ID is now the client's ID. A client may send the same ID twice, and two tasks with one ID are "
            "one task: the second overwrites the first. Keep both IDs, each for what it is."
        )
    return None


def celerys_property(seen: Seen) -> str | None:
    if seen.opened and seen.opened["properties"].get("correlation_id") == seen.opened["sent_id"]:
        return (
            "The ID is in the message, in the property `correlation_id`: that one is Celery's own, by which it matches "
            "answers to tasks. You have overwritten it, and the task's function gets nothing. Only `kwargs` reaches it."
        )
    return None


def overwritten_header(seen: Seen) -> str | None:
    if seen.opened and seen.opened["id_at"] == "headers.correlation_id":
        return (
            "The ID is in the message, in a header named `correlation_id`. When a worker takes the message, Celery "
            "writes its own property over it, so nobody ever reads it. Only `kwargs` reaches the function."
        )
    return None


def in_a_header(seen: Seen) -> str | None:
    if seen.opened and seen.opened["id_at"] and seen.opened["id_at"].startswith("headers"):
        return (
            f"The ID is in the message, at {seen.opened['id_at']}. Celery reads its headers itself; the task's "
            "function gets only `kwargs`."
        )
    return None


def callers_dict(seen: Seen) -> str | None:
    if seen.called and seen.called.sent_id in _of_second_call(seen):
        return (
            "Another caller handed over the same data twice, first with an ID, then without one. The second task has "
            "the first one's ID: your layer writes into the dictionary of its caller. Write into a copy, "
            "`dict(task_data)`."
        )
    return None


def none_as_text(seen: Seen) -> str | None:
    texts = {*_of_second_call(seen), *seen.handed_on(seen.hop)} & set(NO_TEXT)
    if texts:
        return (
            f"Where there is no ID, your layer hands on the text {texts.pop()!r}. A search for a lost ID then finds "
            "everybody's. No ID is no ID: leave it out, or hand on None."
        )
    return None


def invented(seen: Seen) -> str | None:
    found = next((found for found in _of_second_call(seen) if found), None)
    if found:
        return (
            f"The task of a caller that gave no ID has {found}, an ID that nobody sent: no other log has it. No ID is "
            "no ID: leave it out, or hand on None."
        )
    return None


def only_in_requests(seen: Seen) -> str | None:
    called = seen.called
    if called and called.returned[:1] and called.sent_id not in seen.of_task("worker", str(called.returned[0])):
        return (
            f"Another caller, a program of its own, gave your layer the ID {called.sent_id}, and its task does not "
            "have it. Your layer takes the ID from something that only a request through the API fills: take the "
            "argument."
        )
    return None


def not_in_ledger(seen: Seen) -> str | None:
    if seen.in_ledger and seen.in_ledger[0] != seen.in_ledger[1] and not _missing(seen, "worker"):
        return (
            "The message has the ID, and the ledger's entry of the task has not. A message is only a hint: when it is "
            "lost, a worker sends it again from the ledger, without the ID then. Put the ID into `kwargs` above "
            "`ledger.accept`."
        )
    return None


def _of_second_call(seen: Seen) -> list[str]:
    tasks = seen.called.returned[1:] if seen.called else []
    return [found for task in tasks if task for hop in ladder.HOPS[3:] for found in seen.of_task(hop, task)]


# --- worker -----------------------------------------------------------------------------------------------------------


def celerys_own(seen: Seen) -> str | None:
    if any(one.task_id in seen.of_task("worker", one.task_id) for one in seen.asked if one.task_id):
        return (
            "The worker logs the task ID as the correlation ID. `self.request.correlation_id` is a property of the "
            "message that Celery sets to the task ID; the client's ID is an argument of the function."
        )
    return None


def some_tasks(seen: Seen) -> str | None:
    without = sorted({one.task_type for one in seen.asked if one.wanted not in seen.of_task("worker", one.task_id)})
    kinds = {one.task_type for one in seen.asked}
    if without and len(without) < len(kinds):
        return (
            f"Not every task has it: {', '.join(without)} {'logs' if len(without) == 1 else 'log'} no ID. Each of the "
            "four functions is a way in of its own."
        )
    return None


def half_the_lines(seen: Seen) -> str | None:
    ids = {one.task_id: one.wanted for one in seen.asked if one.task_id and not _missing(seen, "worker")}
    for line in seen.lines:
        if "duration_ms" in line and line.get("task_id") in ids and line.get("correlation_id") != ids[line["task_id"]]:
            return (
                "The worker's START line has the ID, its COMPLETE line has not. Whoever searches for the ID must find "
                "how long it took and how it ended: give it to `task_log`, which writes both."
            )
    return None


# --- what may be wrong with any layer ---------------------------------------------------------------------------------


def no_line(seen: Seen) -> str | None:
    if not seen.of(seen.hop):
        return f"There is no log line of {seen.hop} any more. Leave the line that logs the hand-off where it was."
    return None


def constant(seen: Seen) -> str | None:
    found = set(seen.handed_on(seen.hop))
    if len(found) == 1 and "" not in found and len(seen.asked) > 1:
        return f"Every request has the same ID, {found.pop()}. It must be the one that the client sent, each its own."
    return None


def mixed_up(seen: Seen) -> str | None:
    counts = Counter(seen.handed_on(seen.hop))
    wanted = set(_wanted(seen, seen.hop))
    if wanted - set(counts) and set(counts) <= wanted:
        return (
            "Requests that are under way at the same time get each other's ID. A value that outlives its request, such "
            "as a global, belongs to whoever wrote it last: pass it as an argument."
        )
    return None


def made_up(seen: Seen) -> str | None:
    strange = [found for found in seen.handed_on(seen.hop) if found and found not in _wanted(seen, seen.hop)]
    if strange:
        return (
            f"{seen.hop} hands on {strange[0]}, which nobody sent: a new ID. It is unique, and finds nothing: the "
            "client's ID is the one that the other logs have."
        )
    return None


def nothing_handed_on(seen: Seen) -> str | None:
    if set(seen.handed_on(seen.hop)) == {""}:
        return f"{seen.hop} hands on no ID, as before. {ladder.LAYERS[seen.number - 1].symptom}"
    return None


def sometimes(seen: Seen) -> str | None:
    missing = _missing(seen, seen.hop)
    if missing:
        return f"{seen.hop} hands on the ID of some requests, and not of others: {', '.join(missing)} is missing there."
    return None


def not_sent_on(seen: Seen) -> str | None:
    if not seen.whole:
        return None
    for hop in ladder.HOPS[seen.number :]:
        if _missing(seen, hop):
            return (
                f"Your layer's log line has the ID, and {hop} does not get it, though the layers after yours were "
                "fixed for this check. A line in a log hands nothing on: give the next layer what you log."
            )
    return None


def _past_nginx(seen: Seen) -> list[Asked]:
    return [one for one in seen.asked if one.through != NGINX]


def _sent(seen: Seen) -> list[str]:
    """The usable IDs that clients sent."""
    return [one.sent for one in seen.asked if one.usable]


def _passed_on(seen: Seen) -> list[str]:
    """The IDs that nginx had to replace and did not."""
    return [one.sent for one in seen.asked if one.sent and not one.usable and one.sent in seen.handed_on("nginx")]


def _wanted(seen: Seen, hop: str) -> list[str]:
    """The IDs that a layer is to hand on."""
    return [one.wanted for one in seen.asked if hop != "nginx" or one not in _past_nginx(seen)]


def _missing(seen: Seen, hop: str) -> list[str]:
    return [wanted for wanted in _wanted(seen, hop) if wanted not in seen.handed_on(hop)]


FIRST: tuple[Rule, ...] = (
    queue_forgotten,
    refused,
    lost_before,
    required,
    caller_failed,
    nothing_returned,
    no_message,
    never_ran,
    forgotten,
    task_failed,
)
OF_LAYER: dict[str, tuple[Rule, ...]] = {
    "nginx": (
        no_line,
        constant,
        no_fallback,
        anything_goes,
        too_wide,
        no_limit,
        same_fallback,
        too_narrow,
        nobody_sent_it,
        not_logged,
        logged_only,
        wrong_place,
        not_answered,
    ),
    "routes": (read_again,),
    "task-service": (in_the_data,),
    "queue-service": (task_id_taken, celerys_property, overwritten_header, in_a_header, callers_dict, not_in_ledger),
    "worker": (celerys_own, some_tasks, half_the_lines),
}
LAST: tuple[Rule, ...] = (
    no_line,
    none_as_text,
    constant,
    mixed_up,
    made_up,
    nothing_handed_on,
    sometimes,
    invented,
    not_sent_on,
    only_in_requests,
)
