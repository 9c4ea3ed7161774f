"""Drills on single requests: keys, retries, and tasks and messages that do harm."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter

from clew.drills import hostile
from clew.drills.account import Account
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Check, Drill, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks import ready
from clew.stacks.services import WORKERS
from taskqueue.contract import QUEUES

MOST_RUNS = 4


def same_keys(scene: Scene) -> None:
    """Send copies of requests with the same keys, all at once and shuffled; then the keys with another payload."""
    keys = [str(uuid.UUID(int=scene.rng.getrandbits(128), version=4)) for _ in range(scene.count("keys"))]
    copies = [key for key in keys for _ in range(scene.count("copies"))]
    scene.rng.shuffle(copies)
    scene.send_keyed([(key, rehearsal(0.01)) for key in copies], label="copy")
    scene.send_keyed([(key, rehearsal(0.02)) for key in keys], label="other payload")


def check_keys(scene: Scene, account: Account) -> list[Check]:
    copies = [one for one in account.requests if one.label == "copy"]
    answers = Counter(one.attempts[-1].status for one in copies if one.attempts)
    ids_of_key: dict[str | None, set[str]] = {}
    for one in copies:
        if one.task_id is not None:  # in a crowd that is too large for the machine, some are told nothing but 504
            ids_of_key.setdefault(one.key, set()).add(one.task_id)
    others = Counter(one.attempts[-1].status for one in account.requests if one.label == "other payload")
    keys, total = scene.count("keys"), len(copies)
    ran = sum(bool(ran.starts) for ran in account.runs.values())
    cached = sum(one.attempts[-1].from_cache for one in copies if one.attempts)
    return [
        *always(account),
        exactly("answers 201, one for each key", keys, answers[201]),
        exactly("answers 200 that are not from the cache", 0, answers[200] - cached),
        exactly("answers 200 from the cache", total - keys, cached, needs_calm=True),
        exactly("keys whose copies were told more than one task", 0, sum(len(ids) > 1 for ids in ids_of_key.values())),
        exactly("tasks that ran", keys, ran),
        exactly("answers 422 to another payload", keys, others[422]),
    ]


IDEMPOTENCY = Drill(
    name="idempotency",
    claim="50 keys, each sent 30 times at once over three servers, lead to 50 tasks; another payload is answered 422.",
    should=(
        "1,500 requests with 50 keys arrive at the same time: 50 are answered 201, the others 200 with from_cache.",
        "All copies of a key are told the same task ID, and 50 tasks run.",
        "The same keys with another payload are answered 422.",
    ),
    stock="The key is not looked at: 1,500 tasks run, and another payload is accepted.",
    act=same_keys,
    checks=check_keys,
    full={"keys": 50, "copies": 30},
    short={"keys": 20, "copies": 10},
)


def poison(scene: Scene) -> None:
    """Send tasks that kill their process, among others that do not."""
    bodies = [rehearsal(0.2)] * scene.count("neighbours")
    scene.send(bodies[::2], label="neighbour")
    scene.send([rehearsal(0.2, fail="kill")] * scene.count("poison"), label="poison", due="FAILURE")
    scene.send(bodies[1::2], label="neighbour")


def runs_of(account: Account, label: str) -> list[int]:
    """Return how often each accepted task with this label was started."""
    labelled = [one for one in account.acknowledged if one.label == label]
    return [sum(len(ran.starts) for ran in account.runs_of(one)) for one in labelled]


def check_poison(scene: Scene, account: Account) -> list[Check]:
    return [
        *always(account),
        at_most("runs of a poisonous task", MOST_RUNS, max(runs_of(account, "poison"), default=None)),
        at_most("runs of any other task", 1, max(runs_of(account, "neighbour"), default=None)),
    ]


POISON = Drill(
    name="poison",
    claim="A task that kills its process runs at most four times, then is a FAILURE; other tasks do not notice.",
    should=(
        "Each poisonous task runs at most 4 times and ends in FAILURE with a reason.",
        "The other tasks run once and end in SUCCESS.",
    ),
    stock="With early acknowledgement it fails after one run. With task_reject_on_worker_lost it would run for ever.",
    act=poison,
    checks=check_poison,
    full={"poison": 3, "neighbours": 60},
    short={"poison": 1, "neighbours": 20},
    seconds=90,
)


def retries(scene: Scene) -> None:
    """Send tasks that fail for a while, for good, and always."""
    count, wait = scene.count("each"), scene.size["retry_seconds"]
    scene.send(
        [rehearsal(0.01, fail="transient", failures=2, retry_seconds=wait)] * count, label="recovers", due="SUCCESS"
    )
    scene.send([rehearsal(0.01, fail="transient", retry_seconds=wait)] * count, label="never works", due="FAILURE")
    scene.send([rehearsal(0.01, fail="permanent")] * count, label="permanent", due="FAILURE")


def check_retries(scene: Scene, account: Account) -> list[Check]:
    def all_of(label: str) -> str | None:
        runs = sorted(set(runs_of(account, label)))
        return ", ".join(map(str, runs)) if runs else None

    pauses = []
    for one in account.acknowledged:
        for ran in account.runs_of(one):
            starts = sorted(when for when, _ in ran.starts)
            pauses += [later - earlier for earlier, later in itertools.pairwise(starts)]
    shortest = min(pauses, default=None)
    wait = scene.size["retry_seconds"]
    return [
        *always(account),
        exactly("runs of a task that works the third time", "3", all_of("recovers")),
        exactly("runs of a task that never works", str(MOST_RUNS), all_of("never works")),
        exactly("runs of a task that fails for good", "1", all_of("permanent")),
        Check(
            "the shortest wait before a retry",
            f"≥ {wait:g} s",
            "not measured" if shortest is None else f"{shortest:.2f} s",
            None if shortest is None else shortest >= wait * 0.95,
        ),
    ]


RETRIES = Drill(
    name="retries",
    claim="A transient failure is retried three times, a permanent one not at all.",
    should=(
        "A task that works the third time runs three times and ends in SUCCESS.",
        "A task that never works runs four times and ends in FAILURE.",
        "A task that fails for good runs once and ends in FAILURE.",
    ),
    stock="The same: Celery's own retry does this while nothing else goes wrong.",
    act=retries,
    checks=check_retries,
    full={"each": 10, "retry_seconds": 2},
    short={"each": 3, "retry_seconds": 1},
)


def hostile_messages(scene: Scene) -> None:
    """Put malformed messages on the queues, in Redis itself, between tasks that are good."""
    kinds = [kind for kind in hostile.KINDS for _ in range(scene.count("copies"))]
    scene.rng.shuffle(kinds)
    with ready.redis_client(scene.stack) as client:
        for number, kind in enumerate(kinds):
            client.lpush(QUEUES[number % len(QUEUES)], hostile.raw(kind, scene.rng))
            if number % 4 == 0:
                scene.send([rehearsal(0.02, QUEUES[number % len(QUEUES)])], label="behind")
        for _ in range(scene.count("large")):
            client.lpush("low", hostile.large(scene.rng))
    scene.notes["pushed"] = len(kinds) + scene.count("large")
    scene.send([rehearsal(0.02, priority) for priority in QUEUES for _ in range(10)], label="behind")


def check_hostile(scene: Scene, account: Account) -> list[Check]:
    letters = [line for line in account.lines if line["service"] in WORKERS and "dead_letter" in line]
    told = [line for line in letters if line.get("reason")]
    return [
        *always(account),
        exactly("messages that became dead letters with a reason", scene.notes["pushed"], len(told)),
        exactly("different dead letters", scene.notes["pushed"], len({line["dead_letter"] for line in letters})),
    ]


HOSTILE_MESSAGES = Drill(
    name="hostile-messages",
    claim="No malformed message ends a worker: each becomes a dead letter with a reason, and good tasks behind it run.",
    should=(
        f"{len(hostile.KINDS)} kinds of malformed messages, one of 100 MiB among them, are put on the queues.",
        "No worker ends; each message is in the dead letters, with its reason in one log line.",
        "All good tasks behind them end in SUCCESS.",
    ),
    stock="Many of them end a worker. Some are put back by each worker that they end: at last no worker is alive.",
    act=hostile_messages,
    checks=check_hostile,
    full={"copies": 3, "large": 1},
    short={"copies": 1, "large": 0},
    seconds=45,
)
