"""Drills in which API servers and other tiers go away, one at a time."""

from __future__ import annotations

from clew.drills.account import Account, latencies
from clew.drills.faults import KILL, PAUSE, regularly
from clew.drills.judge import always
from clew.drills.load import rehearsal
from clew.drills.model import Check, Drill, Fault, at_most, exactly
from clew.drills.scene import Scene
from clew.stacks import rolling
from clew.stacks.services import API_SERVERS

HANG_SECONDS = 4
HANG_MS = 1500
DOWN_SECONDS = 2


def none_failed(account: Account) -> list[Check]:
    return [
        exactly("failed requests of clients with a key", 0, len(account.failed_of("retrying")), needs_calm=True),
        exactly("failed requests of clients that try once", 0, len(account.failed_of("plain")), needs_calm=True),
        exactly("requests run under two task IDs", 0, len(account.twice)),
    ]


def kill_servers(scene: Scene) -> None:
    """Keep a steady load and kill one of the three servers in each period."""
    kills, every = scene.count("kills"), scene.size["every"]
    scene.at_a_rate(scene.size["rate"], kills * every, rehearsal(0.01))
    plan = [
        planned._replace(service=scene.rng.choice(API_SERVERS))
        for planned in regularly(scene.rng, KILL, API_SERVERS[0], kills, every, DOWN_SECONDS)
    ]
    scene.follow(plan)


def check_servers(scene: Scene, account: Account) -> list[Check]:
    return [
        *always(account),
        exactly("kills of a server", scene.count("kills"), sum(fault.landed for fault in scene.faults)),
        *none_failed(account),
    ]


API_KILL = Drill(
    name="api-kill",
    claim="When API servers are killed one after the other, no request fails and none runs twice.",
    should=(
        "Under 100 requests a second, one of the three servers is killed five times; each is away for 2 s.",
        "nginx asks another server, with the same key: every request is accepted.",
        "No request leads to two tasks.",
    ),
    stock="nginx does not repeat a POST that it has sent: some requests fail, and some of those run all the same.",
    act=kill_servers,
    checks=check_servers,
    full={"kills": 5, "every": 6, "rate": 100},
    short={"kills": 2, "every": 5, "rate": 40},
)


def hang_a_server(scene: Scene) -> None:
    """Freeze one server for a while in the middle of a steady load."""
    seconds = scene.size["seconds"]
    scene.at_a_rate(scene.size["rate"], seconds, rehearsal(0.01))
    scene.pass_time(seconds / 3)
    with scene.fault(PAUSE, scene.rng.choice(API_SERVERS)):
        scene.pass_time(HANG_SECONDS)


def check_hang(scene: Scene, account: Account) -> list[Check]:
    return [
        *always(account),
        *none_failed(account),
        at_most("p99 of the answers", HANG_MS, latencies(account.requests)["p99"], "ms"),
    ]


API_HANG = Drill(
    name="api-hang",
    claim="When an API server hangs for 4 s, no request fails, and 99 of 100 are answered within 1.5 s.",
    should=(
        "One of the three servers is frozen for 4 s under 50 requests a second.",
        "nginx passes it over after 1 s without an answer: no request fails.",
        "When the server continues, what it still has is too late: no request leads to two tasks.",
    ),
    stock="Every third request waits until the server continues, or fails.",
    act=hang_a_server,
    checks=check_hang,
    full={"seconds": 20, "rate": 50},
    short={"seconds": 12, "rate": 30},
)


def restart_all_tiers(scene: Scene) -> None:
    """Keep a steady load; restart one service after the other, and reload nginx."""
    scene.at_a_rate(scene.size["rate"], scene.size["seconds"], rehearsal(0.02))
    scene.pass_time(2)
    before = scene.driver.started()
    for service in rolling.IN_ORDER:
        scene.watch.started(service)
    steps = rolling.rolling_restart(scene.stack, scene.driver, scene.say)
    after = scene.driver.started()
    for step in steps:
        if step.done == "restarted":
            ended = after[step.service]
            landed = ended > before[step.service]
            scene.faults.append(Fault("restart", step.service, ended - step.seconds, ended, landed))
    if not scene.sender.busy:
        scene.doubts.append("The load ended before the last service was restarted.")
    scene.sender.end_early()


def check_rolling(scene: Scene, account: Account) -> list[Check]:
    return [*always(account), *none_failed(account), exactly("extra runs", 0, account.extra_runs)]


ROLLING = Drill(
    name="rolling",
    claim="All tiers but Redis can be restarted under load, one service at a time, and no request fails.",
    should=(
        "Under 50 requests a second nginx is reloaded; each API server, each worker and Flower stops and starts.",
        "No request fails, no task runs twice, and every accepted task ends in SUCCESS.",
    ),
    stock="Some requests fail: after one failed attempt nginx leaves a server out for 10 s, in the end all three.",
    act=restart_all_tiers,
    checks=check_rolling,
    full={"rate": 50, "seconds": 180},
    short={"rate": 30, "seconds": 180},
)
