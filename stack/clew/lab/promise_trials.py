"""What notebook 9 tries: ending processes while tasks run. `promise.py` shows what was seen.

Times are in seconds since the trial began.
"""

from __future__ import annotations

import json
from collections import Counter

from clew.core.lines import Line
from clew.drills import run
from clew.drills.account import runs_in
from clew.drills.book.broker import FSYNC, POWER_CUT
from clew.drills.book.workers import running
from clew.drills.faults import KILL, PAUSE
from clew.drills.load import rehearsal
from clew.drills.scene import Scene
from clew.evidence import logs
from clew.lab.bench import Seen
from clew.lab.busy_trials import finish, since
from clew.stacks.drivers import Say
from clew.stacks.services import REDIS, WORKERS

TASKS = 6
TASK_SECONDS = 3.0
AWAY_SECONDS = 1.5  # until the killed worker is started again
PATIENCE_SECONDS = {"durable": 40.0, "stock": 12.0}  # with stock settings what is not done by then is never done
LINE_FIELDS = ("ts", "service", "message", "correlation_id", "request_id", "task_id", "duration_ms", "effect")


def kill(scene: Scene) -> Seen:
    """Start a few tasks of seconds, kill the worker that runs most of them, start it again, and wait."""
    requests = scene.send([rehearsal(TASK_SECONDS, "high")] * TASKS, client="plain")
    wanted = {request.task_id for request in requests if request.task_id}
    scene.wait(lambda: wanted <= set(running(scene)), 20, "every task to run")
    scene.pass_time(TASK_SECONDS / 3)
    on_worker = running(scene)
    victim = max(WORKERS, key=lambda worker: sum(where == worker for where in on_worker.values()))
    with scene.fault(KILL, victim) as fault:
        cut = [task for task, where in on_worker.items() if where == victim and task in wanted]
        scene.pass_time(AWAY_SECONDS)
    scene.wait_consuming([victim])
    states = finish(scene, PATIENCE_SECONDS[scene.on])
    lines = scene.lines()
    ran = runs_in(lines)
    tasks = []
    for request in requests:
        task_id = str(request.task_id)
        one = ran[task_id]
        starts = [[since(scene, at), worker] for at, worker in sorted(one.starts)]
        ends = [since(scene, at) for at in sorted(one.completed)]
        tasks.append({"task_id": task_id, "starts": starts, "ends": ends, "state": states[task_id]})
    example = next(request for request in requests if request.task_id in cut)
    return {
        "killed": victim,
        "killed_at": since(scene, fault.began),
        "back_at": since(scene, fault.ended),
        "cut": cut,
        "tasks": tasks,
        "waiting": scene.watch.depths[-1][1],
        "sent_id": example.correlation_id,
        "task_id": example.task_id,
        "lines": trail(lines, example.correlation_id),
        "ended": since(scene),
    }


def twice(scene: Scene) -> Seen:
    """Kill a worker when its task has booked but could not say so, because Redis was frozen just then."""
    [request] = scene.send([rehearsal(1.5, "high")], client="plain")
    task_id = str(request.task_id)
    scene.wait(lambda: task_id in running(scene), 20, "the task to run")
    victim = running(scene)[task_id]
    scene.pass_time(0.7)
    with scene.fault(PAUSE, REDIS):
        scene.pass_time(1.3)  # the task sends its booking to Redis and waits for the answer
        fault = scene.inject(KILL, victim)
    scene.heal(fault)
    states = finish(scene, PATIENCE_SECONDS["durable"])
    lines = scene.lines()
    scene.wait(lambda: bool(runs_in(scene.lines())[task_id].completed), 5, "the last log line")
    lines = scene.lines()
    own = trail(lines, request.correlation_id)
    return {
        "task_id": task_id,
        "state": states[task_id],
        "killed": victim,
        "starts": len(runs_in(lines)[task_id].starts),
        "effects": [line["effect"] for line in own if line.get("effect")],
        "sent_id": request.correlation_id,
        "lines": own,
    }


def trail(lines: list[Line], sent_id: str) -> list[Line]:
    """Return the lines of one request, with the fields that are shown."""
    return [
        {name: line[name] for name in LINE_FIELDS if line.get(name) is not None}
        for line in logs.with_id(lines, sent_id)
    ]


def power_cut(say: Say) -> Seen:
    """Run the drill power-cut; return for each setting of appendfsync what was accepted and lost."""
    result = run.run(POWER_CUT, "durable", 1, True, say)
    requests = [json.loads(line) for line in (result.folder / "requests.jsonl").read_text().splitlines()]
    accepted = Counter(one["label"] for one in requests if one["outcome"] == "acknowledged")
    cut = Counter(dict.fromkeys(FSYNC, 0))
    for one in result.notes["cuts"]:
        cut[one["appendfsync"]] += one["bytes_cut"]
    return {
        "verdict": result.verdict,
        "settings": {
            setting: {"accepted": accepted[setting], "lost": result.notes["lost"][setting], "bytes_cut": cut[setting]}
            for setting in FSYNC
        },
    }


TRIALS = {"stock": (kill,), "durable": (kill, twice)}
