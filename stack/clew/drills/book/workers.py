"""Drills in which workers die."""

from __future__ import annotations

from functools import partial

from clew.drills.account import Account
from clew.drills.faults import KILL
from clew.drills.judge import always
from clew.drills.load import Sender, rehearsal
from clew.drills.model import Check, Drill, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks.services import WORKERS

RERUN_SECONDS = 8
TINY_SECONDS = 30


def kill_in_the_middle(scene: Scene) -> None:
    """Round by round: start tasks of seconds, kill the worker that runs most of them, wait until all are done."""
    scene.notes |= {"reruns": [], "interrupted": [], "living": []}
    for number in range(scene.count("rounds")):
        requests = scene.send([rehearsal(scene.size["seconds"], "high")] * scene.count("tasks"))
        wanted = {request.task_id for request in requests if request.task_id}
        scene.wait(partial(all_run, scene, wanted), 20, "every task of the round to run")
        on_worker = running(scene)
        most = max(sum(where == worker for where in on_worker.values()) for worker in WORKERS)
        victims = [w for w in WORKERS if sum(where == w for where in on_worker.values()) == most]
        victim = scene.rng.choice(victims)
        scene.say(f"Round {number + 1} of {scene.count('rounds')}: killing {victim}, which runs {most} tasks.")
        with scene.fault(KILL, victim) as fault:
            cut = [task for task, where in on_worker.items() if where == victim and task in wanted]
            scene.notes["interrupted"] += [(task, fault.began) for task in cut]
            scene.notes["living"] += [task for task in wanted if task not in cut]
            fault.landed = fault.landed and bool(cut)
            scene.pass_time(RERUN_SECONDS)
        scene.wait_consuming()
        if number + 1 < scene.count("rounds"):
            scene.wait(lambda: not running(scene), scene.size["seconds"] + 15, "the round's tasks to finish")


def all_run(scene: Scene, wanted: set[str]) -> bool:
    return wanted <= set(running(scene))


def running(scene: Scene) -> dict[str, str]:
    """Return the tasks that have started and not ended, as the logs tell it, and the worker of each."""
    found: dict[str, str] = {}
    for line in scene.lines():
        task_id = line.get("task_id")
        if task_id and line.get("hop") == "worker":
            found[task_id] = line["service"]
        elif task_id and str(line["message"]).startswith(("Rehearsal COMPLETE", "Rehearsal FAILED")):
            found.pop(task_id, None)
    return found


def check_kill(scene: Scene, account: Account) -> list[Check]:
    waits = []
    for task, killed_at in scene.notes["interrupted"]:
        again = [when for when, _ in account.runs[task].starts if when > killed_at]
        waits.append(min(again) - killed_at if again else float("inf"))
    twice = [task for task in scene.notes["living"] if len(account.runs[task].starts) > 1]
    scene.notes["reruns"] = waits
    return [
        *always(account),
        at_most("an interrupted task runs again after", RERUN_SECONDS, max(waits, default=None), "s"),
        exactly("tasks of living workers that ran twice", 0, len(twice)),
    ]


WORKER_KILL = Drill(
    name="worker-kill",
    claim="When a worker is killed, its tasks run again within 8 s, and no task of a living worker runs twice.",
    should=(
        "The killed worker's tasks start again on another worker within 8 s.",
        "The tasks of the other workers run once.",
        "Every accepted task ends in SUCCESS, its effect applied once.",
    ),
    stock="The killed worker's tasks are lost: they were acknowledged when they began. With late acknowledgement they "
    "would wait for the visibility timeout, an hour by default.",
    act=kill_in_the_middle,
    checks=check_kill,
    full={"rounds": 3, "tasks": 8, "seconds": 10},
    short={"rounds": 1, "tasks": 6, "seconds": 5},
    seconds=30,
)


def kill_again_and_again(scene: Scene) -> None:
    """Send tiny tasks as fast as they are accepted; kill a worker that consumes each time another share is accepted."""
    tasks, kills = scene.count("tasks"), scene.count("kills")
    scene.as_accepted(tasks, rehearsal())
    for number in range(1, kills + 1):
        due = int(tasks * (number - scene.rng.random()) / (kills + 1))
        victim = scene.rng.choice(WORKERS)
        scene.wait(partial(enough, scene.sender, due), 300, f"{due} accepted tasks")
        if scene.wait_consuming([victim]) is None:
            scene.doubts.append(f"{victim} did not consume again before kill {number}.")
            break
        fault = scene.inject(KILL, victim)
        scene.heal(fault)
        if number % 10 == 0:
            scene.say(f"Kill {number} of {kills}: {scene.sender.accepted} of {tasks} accepted.")
    scene.answered()


def enough(sender: Sender, due: int) -> bool:
    """Tell whether so many requests have been accepted, or no more will be."""
    return sender.accepted >= due or not sender.busy


def check_tiny(scene: Scene, account: Account) -> list[Check]:
    last_kill = max((fault.began for fault in scene.faults), default=None)
    end = account.last_complete
    after = None if last_kill is None or end is None else max(0.0, end - last_kill)
    return [
        *always(account),
        exactly("worker kills", scene.count("kills"), sum(fault.landed for fault in scene.faults)),
        exactly("accepted tasks", scene.count("tasks"), len(account.acknowledged)),
        at_most("the last task is done after the last kill", TINY_SECONDS, after, "s"),
    ]


TINY_LOSS = Drill(
    name="tiny-loss",
    claim="20,000 tiny tasks under 100 kills of workers: none is lost, and all are done 30 s after the last kill.",
    should=(
        "20,000 tasks are accepted while 100 workers that consume are killed with SIGKILL.",
        "Every accepted task ends in SUCCESS, its effect applied once, within 30 s of the last kill.",
    ),
    stock="Some tasks are gone for good: Celery takes a message from Redis and notes it in a second step. Others wait "
    "for the visibility timeout.",
    act=kill_again_and_again,
    checks=check_tiny,
    full={"tasks": 20_000, "kills": 100},
    short={"tasks": 1_500, "kills": 6},
    seconds=60,
)
