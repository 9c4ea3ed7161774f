"""Running a drill: stack up, load and faults, heal, wait for the end, count, judge, save, stack down."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.drills import judge, saved
from clew.drills.account import Account, incomplete, runs_in
from clew.drills.calm import Calm
from clew.drills.model import UNKNOWN, Drill, Request, Result
from clew.drills.scene import Scene
from clew.drills.settle import States, states_of
from clew.evidence import client, logs
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say, running_driver
from clew.stacks.drivers.choice import wanted_driver
from clew.stacks.stack import Stack, drill_stack

QUIET_SECONDS = 1.0  # after the last task is final: a ghost would run now
TRAIL_LINES = 40

Draw = Callable[[Result], str]


def run(drill: Drill, on: str, seed: int, short: bool, say: Say, draw: Draw | None = None) -> Result:
    """Run a drill once, on a stack of its own that is down before and after; return what it found.

    `draw` makes the picture that the run's folder gets. When interrupted, the folder is kept, with the verdict unknown.

    Raises:
        ClewError: the stack could not be brought up, another process has it, or the drill needs another driver.
    """
    stack = drill_stack(on)
    with lifecycle.reserved(stack):
        if running_driver(stack, everywhere=wanted_driver() != "local") is not None:
            lifecycle.down(stack)
        try:
            driver = lifecycle.start(stack, say).driver
            require_driver(drill, driver)
            client.warm_up(stack)
            return _perform(drill, stack, driver, on, seed, short, say, draw)
        finally:
            lifecycle.down(stack)


def require_driver(drill: Drill, driver: Driver) -> None:
    """Refuse a drill that needs another driver.

    Raises:
        ClewError: it does; the message says why.
    """
    if driver.name not in drill.drivers:
        reason = f"The drill {drill.name} runs only with the driver {', '.join(drill.drivers)}: {drill.why_driver}"
        raise ClewError(reason, f"make drill NAME={drill.name} DRIVER={drill.drivers[0]}")


def _perform(
    drill: Drill, stack: Stack, driver: Driver, on: str, seed: int, short: bool, say: Say, draw: Draw | None
) -> Result:
    scene = Scene(stack, driver, on, f"{drill.name}/{seed}", drill.short if short else drill.full, say)
    folder = saved.new_folder(drill.name, on, seed, scene.began)
    first = first_lines(driver)
    scene.watch.begin()
    calm = Calm(folder)
    calm.begin()
    interrupted: BaseException | None = None
    states: States = {}
    try:
        try:
            drill.act(scene)
            scene.answered()
        except ClewError as error:
            scene.doubts.append(error.message)
        say("Healed; waiting for every accepted task to finish.")
        scene.heal_all()
        scene.sender.stop()
        states = wait_for_the_end(scene, drill.seconds)
    except KeyboardInterrupt as error:
        interrupted = error
        scene.doubts.append("It was interrupted.")
        scene.sender.stop()
    finally:
        scene.watch.end()
        stall = calm.end()
    scene.notes["longest_stall_seconds"] = stall
    scene.watch.look()
    say("Reading the logs.")
    texts = driver.logs()
    lines = logs.parsed(texts)
    account = counted(scene, states, lines)
    unrest = judge.unrest(account, stall)
    checks = judge.excused(drill.checks(scene, account), unrest) if interrupted is None else []
    missing = incomplete(first, lines, account)
    doubts = [*scene.doubts, *judge.doubts(scene.faults, account)]
    result = Result(
        name=drill.name,
        on=on,
        seed=seed,
        driver=driver.name,
        short=short,
        claim=drill.claim,
        should=drill.should,
        stock=drill.stock,
        verdict=UNKNOWN if interrupted else judge.verdict(checks, doubts, missing),
        unknown=[*missing, *doubts],
        checks=checks,
        counts=account.counts(),
        faults=scene.faults,
        notes=scene.notes,
        trail=trail_of(account, scene),
        began=scene.began,
        seconds=round(time.time() - scene.began, 2),
        folder=folder,
    )
    save(result, texts, scene.sender.requests, draw)
    if interrupted is not None:
        raise interrupted
    return result


def save(result: Result, texts: dict[str, list[str]], requests: Sequence[Request], draw: Draw | None) -> None:
    """Write the folder of a run."""
    saved.save_result(result)
    saved.save_logs(result.folder, texts)
    saved.save_requests(result.folder, requests)
    if draw is not None:
        picture: Path = result.folder / "diagram.svg"
        picture.write_text(draw(result))


def first_lines(driver: Driver) -> dict[str, str]:
    """Return the first log line of each service, as `account.incomplete` compares it."""
    found: dict[str, str] = {}
    for line in logs.read(driver):
        found.setdefault(line["service"], str(line["message"]))
    return found


def wait_for_the_end(scene: Scene, seconds: float) -> States:
    """Wait until no task waits and every acknowledged one is final; return their states."""
    began = time.monotonic()
    scene.wait(lambda: bool(scene.watch.depths) and scene.watch.depths[-1][1] == 0, seconds, "the queues to be empty")
    left = max(seconds - (time.monotonic() - began), 5.0)
    acknowledged = [request.task_id for request in scene.sender.requests if request.task_id]
    told = time.monotonic()

    def progress(count: int) -> None:
        nonlocal told
        if count and time.monotonic() - told > 5:
            told = time.monotonic()
            scene.say(f"{count} of {len(acknowledged)} accepted tasks are not finished.")

    states = states_of(scene.stack, acknowledged, left, progress)
    scene.pass_time(QUIET_SECONDS)
    return states


def counted(scene: Scene, states: States, lines: Sequence[Line]) -> Account:
    """Return the account of a scene; tasks that are not of its requests are left out."""
    requests = scene.sender.requests
    own = {request.correlation_id for request in requests}
    accepted = {request.task_id for request in requests}
    runs = {name: ran for name, ran in runs_in(lines).items() if ran.correlation_id in own or name in accepted}
    return Account(requests, runs, states, scene.watch.depths, scene.watch.ended_unexpectedly(), lines)


def affected(account: Account, scene: Scene) -> Request | None:
    """Return the request to draw: one that went wrong, else one that a fault made run again or be sent again."""
    for wrong in (account.lost, account.ghosts, account.wrong_state, account.duplicate_effects):
        if wrong:
            return wrong[0]
    for request in account.acknowledged:
        if any(len(ran.starts) > 1 for ran in account.runs_of(request)):
            return request
    retried = [request for request in account.requests if len(request.attempts) > 1]
    return next(iter([*retried, *account.refused, *account.acknowledged]), None)


def trail_of(account: Account, scene: Scene) -> list[Line]:
    """Return the log lines of the affected request, and what its client saw, in time order."""
    request = affected(account, scene)
    if request is None:
        return []
    names = {request.correlation_id, *(ran.task_id for ran in account.runs_of(request))}
    if request.task_id:
        names.add(request.task_id)
    own = [line for line in account.lines if names & {line.get("correlation_id"), line.get("task_id")}]
    seen: list[Line] = []
    for number, attempt in enumerate(request.attempts, 1):
        told = attempt.status if attempt.status is not None else f"no answer ({attempt.problem})"
        which = f" (attempt {number})" if len(request.attempts) > 1 else ""
        seen.append({"ts": attempt.sent_at, "service": "client", "message": f"POST{which}"})
        seen.append({"ts": attempt.sent_at + attempt.ms / 1000, "service": "client", "message": f"answer {told}"})
    return logs.in_order([*seen, *own])[:TRAIL_LINES]
