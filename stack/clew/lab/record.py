"""Making the recordings that `recordings.py` loads: `make record` runs every lesson's requests on live stacks.

Times, IDs and task IDs are what they were; `left_out` names what is not kept because it says something about the
machine and nothing about the request. All requests have the same seed, so the same portfolio has the same VaR.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from clew import ladder, provision
from clew.core import processes
from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.evidence import client, journey, logs
from clew.evidence.diff import log_diff
from clew.evidence.message import message, nobody_consuming
from clew.evidence.trace import CLOCK_SLACK, Run, trace
from clew.evidence.two import two
from clew.lab import busy, busy_trials, crowd, promise, promise_trials
from clew.lab.bench import LiveBench
from clew.lab.leaks import trial as leaking
from clew.lab.leaks.judge import ANOTHERS
from clew.lab.receivers import LiveRollout
from clew.lab.recordings import FOLDER, Recording
from clew.lab.ways import experiment
from clew.show.display import Display
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say
from clew.stacks.stack import Stack, lattice_stack, stage_stack

PACKAGES = {"redis-py": "redis", **{name: name for name in ("celery", "kombu", "fastapi", "uvicorn", "numpy")}}
LEFT_OUT = ["upstream in nginx's lines", "process ID and host name in a message's headers.origin"]

SHARED_ID = "PORTFOLIO-42"
PORTFOLIOS: list[dict[str, Any]] = [
    {"positions": [{"symbol": "AAPL", "quantity": 100, "price": 150.0}]},
    {"positions": [{"symbol": "GOOGL", "quantity": 50, "price": 2800.0}]},
    {"positions": [{"symbol": "MSFT", "quantity": 75, "price": 380.0}]},
]
KEY = "order-5f0c6d1e-7a43-4a55-9d0e-0a3b5e8f2c11"
CLICKS = (("CLICK-1", 0), ("CLICK-2", 0), ("CLICK-3", 0), ("CLICK-4", 1))  # the ID, and which portfolio
TOP_DOWN = ladder.HOPS
RECEIVERS_FIRST = tuple(reversed(ladder.HOPS))


def record(say: Say) -> list[Path]:
    """Make all recordings on live stacks and write them; return their paths.

    Raises:
        ClewError: a stack did not come up, ran with containers, or did not do what the truth table says.
    """
    return [
        write("stages", {"runs": list(stages(say))}, say),
        write("lattice", {"runs": list(lattice(say))}, say),
        write("three-ids", three_ids(say), say),
        write("receivers", {"runs": list(receivers_first(say))}, say),
        write("trials", {"runs": list(trials(say))}, say),
        write("two", {"runs": list(two_at_once(say))}, say),
        write("leaks", {"runs": list(leaks(say))}, say),
        write("crowds", {"runs": list(crowds(say))}, say),
        write("ways", ways(say), say),
    ]


def stages(say: Say) -> Iterator[Recording]:
    """Run every stage: its trace, its message, and how its logs differ from those of the stage before."""
    before: Run | None = None
    for this in ladder.STAGE_LIST:
        stack = stage_stack(this.number)
        with lifecycle.borrowed(stack, say) as started:
            run = recorded_run(stack, started.driver)
            found = recorded_message(stack)
        say(f"stage {this.number}: {', '.join(run.verdicts)}")
        yield {**run.to_json(), "message": found, "log_diff": log_diff(before, run) if before else []}
        before = run


def two_at_once(say: Say) -> Iterator[Recording]:
    """Send two requests at once to every stage.

    Raises:
        ClewError: with a fix more, fewer lines can be told apart.
    """
    told = -1
    for this in ladder.STAGE_LIST:
        stack = stage_stack(this.number)
        with lifecycle.borrowed(stack, say) as started:
            client.warm_up(stack)
            found = two(stack, driver=started.driver)
        require_local(found.driver)
        if found.told_apart < told:
            raise ClewError(f"Stage {this.number} tells fewer lines apart than the stage before.", "make record")
        told = found.told_apart
        say(f"stage {this.number}: {told} of {len(found.lines)} lines can be told apart")
        yield found.to_json()


def lattice(say: Say) -> Iterator[Recording]:
    """Run every mix: its trace and its message."""
    found = []
    for run in journey.lattice(lambda text: None):
        say(f"mix {run.mix}: {', '.join(run.verdicts)}")
        found.append({**cleaned_run(run).to_json(), "message": recorded_message(lattice_stack())})
    yield from sorted(found, key=lambda recording: str(recording["mix"]))


def three_ids(say: Say) -> dict[str, list[Any]]:
    """Send three requests with one ID; ask for each task by its own ID, and cancel a fourth while it waits."""
    stack = stage_stack(ladder.FIXED.number)
    with lifecycle.borrowed(stack, say) as started:
        client.warm_up(stack)
        runs = []
        for data in PORTFOLIOS:
            run = cleaned_run(trace(stack, SHARED_ID, client.seeded_body(data), started.driver))
            runs.append({**run.to_json(), "data": data})
        answers = [client.ask(stack, "GET", task_id) for task_id in (*(run["task_id"] for run in runs), SHARED_ID)]
        answers.append(client.ask(stack, "DELETE", runs[0]["task_id"]))
        with nobody_consuming(stack):
            task_id = client.send_task(stack, SHARED_ID, client.seeded_body(PORTFOLIOS[0])).task_id
            answers += [client.ask(stack, method, task_id) for method in ("GET", "DELETE")]
        answers.append(client.ask(stack, "GET", task_id))
        clicked = list(clicks(stack, started.driver))
    say(f"{SHARED_ID}: {len(runs)} tasks, one more cancelled")
    return {
        "runs": runs,
        "answers": answers,
        "waiting": [{"sent_id": SHARED_ID, "task_id": task_id}],
        "clicks": clicked,
    }


def receivers_first(say: Say) -> Iterator[Recording]:
    """Roll strict layers out from the top down, and receivers first."""
    experiment = LiveRollout()
    experiment.up(say)
    try:
        for order in (TOP_DOWN, RECEIVERS_FIRST):
            for outcome in experiment.outcomes(order):
                say(f"strict {outcome.mix}: HTTP {outcome.status_code}, {outcome.task}")
                yield {"order": list(order), "outcome": asdict(outcome)}
    finally:
        experiment.down()


def trials(say: Say) -> Iterator[Recording]:
    """Try everything that notebooks 8 and 9 try, and run the drill power-cut.

    Raises:
        ClewError: something that the notebooks' texts rely on did not happen.
    """
    bench = LiveBench()
    wanted = {
        "durable": (*busy_trials.TRIALS, *promise_trials.TRIALS["durable"]),
        "stock": promise_trials.TRIALS["stock"],
    }
    try:
        for settings, of_settings in wanted.items():
            bench.up(settings, say)
            require_local(bench.driver.name if bench.driver else "no")
            for trial in of_settings:
                yield checked({"trial": trial.__name__, "settings": settings, "seen": bench.see(trial)})
                say(f"{trial.__name__}, {settings} settings")
    finally:
        bench.down()
    yield checked({"trial": "power_cut", "settings": "durable", "seen": promise_trials.power_cut(say)})


def leaks(say: Say) -> Iterator[Recording]:
    """Run the leak lab.

    Raises:
        ClewError: it does not show what its page says.
    """
    by_hand, not_cleared, cleared = leaking.trials(say)
    if not (by_hand.clean and not_cleared.example and cleared.lines.get(ANOTHERS, 0) == 0):
        raise ClewError("The leak lab did not show what its page says.", "make leaks")
    yield from (trial.to_json() for trial in (by_hand, not_cleared, cleared))


def crowds(say: Say) -> Iterator[Recording]:
    """Send a crowd to the last two stages; keep its log lines."""
    for number in (ladder.FIXED.number - 1, ladder.FIXED.number):
        stack = stage_stack(number)
        with lifecycle.borrowed(stack, say) as started:
            require_local(started.driver.name)
            client.warm_up(stack)
            answers, lines = crowd.send(stack, started.driver)
        say(f"a crowd of {len(answers)} on stage {number}: {len(lines)} lines")
        kept = [{name: value for name, value in line.items() if name != "upstream"} for line in lines]
        yield {"stage": number, "answers": [asdict(answer) for answer in answers], "lines": kept}


def ways(say: Say) -> dict[str, list[Any]]:
    """Compare the three ways to carry an ID.

    Raises:
        ClewError: the comparison does not show what its page says.
    """
    found = experiment.all_ways(say)
    for check in found.checks():
        if check.ok is not True:
            raise ClewError(f"{check.what}: {check.found}, expected {check.should}.", "make ways")
    return found.to_json()


def checked(entry: Recording) -> Recording:
    """Return a recorded trial.

    Raises:
        ClewError: it does not show what the notebooks' texts say.
    """
    shown = SHOWS[entry["trial"]](entry["seen"], entry["settings"])
    for check in shown.facts()["checks"]:
        if check["ok"] is not True:
            reason = f"{entry['trial']}, {entry['settings']} settings: {check['what']}: {check['found']}"
            raise ClewError(f"{reason}, expected {check['should']}.", "make record, when less is running")
    return entry


SHOWS: dict[str, Callable[[Recording, str], Display]] = {
    "burst": lambda seen, settings: busy.burst(seen),
    "urgent": lambda seen, settings: busy.urgent(seen),
    "breaker": lambda seen, settings: busy.Breaker(seen),
    "kill": promise.Killed,
    "twice": lambda seen, settings: promise.Twice(seen),
    "power_cut": lambda seen, settings: promise.power_cut(seen),
}


def clicks(stack: Stack, driver: Driver) -> Iterator[Recording]:
    """Send one request three times with one key, then another payload with that key; return answers and log lines."""
    begun = 0.0
    for sent_id, number in CLICKS:
        answer = client.send(stack, sent_id, client.seeded_body(PORTFOLIOS[number]), key=KEY)
        begun = begun or answer.sent_at
        if answer.status_code == 201:
            client.result(stack, answer.task_id)
        yield {
            "data": PORTFOLIOS[number],
            "key": KEY,
            "answer": asdict(answer),
            "lines": click_lines(driver, answer, begun),
        }


def click_lines(driver: Driver, answer: client.Answer, since: float) -> list[Recording]:
    """Return a click's log lines once they are complete: nginx writes last, the worker only for an accepted one."""
    found: list[Recording] = []

    def logged() -> bool:
        found[:] = logs.with_id(logs.read(driver, since - CLOCK_SLACK), answer.sent_id)
        ran = answer.status_code != 201 or any("duration_ms" in line and "task_id" in line for line in found)
        return ran and any("request_time" in line for line in found)

    wait_until(logged, 10, f"the log lines of {answer.sent_id}", "make record", every=0.05)
    return [{name: value for name, value in line.items() if name != "upstream"} for line in found]


def recorded_run(stack: Stack, driver: Driver) -> Run:
    client.warm_up(stack)
    return cleaned_run(trace(stack, journey.SENT_ID, client.seeded_body(), driver))


def cleaned_run(run: Run) -> Run:
    require_local(run.driver)
    journey.require_predicted([run], "record")
    for line in run.lines:
        line.pop("upstream", None)
    return run


def recorded_message(stack: Stack) -> dict[str, Any]:
    """Return the message of one more request with the same ID, once its task is finished."""
    found = message(stack, journey.SENT_ID, client.seeded_body())
    client.result(stack, found["task_id"])
    found["headers"]["origin"] = re.sub(r"\d+@.*", "<pid>@<host>", found["headers"]["origin"])
    return found


def require_local(driver: str) -> None:
    """Require the local driver: the versions in a recording are those of this environment.

    Raises:
        ClewError: the run was made with containers.
    """
    if driver != "local":
        raise ClewError("Recordings are made with the local driver.", "make down, then make record DRIVER=local")


def write(kind: str, members: dict[str, list[Any]], say: Say) -> Path:
    """Write a recording, one entry per line, so that a diff names the entries that changed."""
    today = datetime.now(UTC).date().isoformat()
    head = {"made_at": today, "driver": "local", "versions": versions(), "left_out": LEFT_OUT}
    texts = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for name, entries in members.items():
        lines = ",\n  ".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        texts.append(f" {json.dumps(name)}: [\n  {lines}\n ]")
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{kind}.json"
    path.write_text("{\n" + ",\n".join(texts) + "\n}\n")
    say(f"{path.name}: {path.stat().st_size // 1024} KiB")
    return path


def versions() -> dict[str, str]:
    """Return the versions of the programs and packages that ran."""
    nginx = processes.run([provision.find_nginx() or "nginx", "-v"], 10).output
    redis = processes.run([provision.find_redis() or "redis-server", "--version"], 10).output
    programs = {"nginx": r"nginx/([\d.]+)", "redis-server": r"v=([\d.]+)"}
    found = {name: re.search(pattern, nginx + redis) for name, pattern in programs.items()}
    return {
        "python": sys.version.split()[0],
        **{name: metadata.version(package) for name, package in PACKAGES.items()},
        **{name: match[1] if match else "unknown" for name, match in found.items()},
    }
