"""How drills judge: what they read from an account, and how the end is waited for."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from fake_drill import FakeDriver, account, complete, request, start

from clew.drills import settle
from clew.drills.book import broker, crowds, requests, workers
from clew.drills.faults import KILL, PAUSE, RELOAD, Planned
from clew.drills.model import Attempt, Fault
from clew.drills.scene import Scene
from clew.stacks.services import REDIS, WORKERS
from clew.stacks.stack import drill_stack


def found(checks):
    """What failed, and what is not known."""
    return [(check.what, check.found) for check in checks if check.ok is not True]


@pytest.mark.parametrize(("again", "wrong"), [
    (108.0, []),
    (108.5, [("an interrupted task runs again after", "8.5 s")]),
    (99.0, [("an interrupted task runs again after", "never")]),
])  # fmt: skip
def test_a_killed_workers_task_must_run_again_in_time(again, wrong):
    scene = SimpleNamespace(notes={"interrupted": [("t1", 100.0)], "living": ["t2"]})
    lines = [start(1, 98.0), start(1, again), complete(1, 110.0), start(2, 98.0), complete(2, 110.0)]
    assert found(workers.check_kill(scene, account([request(1, 201), request(2, 201)], lines))) == wrong


def test_a_task_of_a_living_worker_must_not_run_twice():
    scene = SimpleNamespace(notes={"interrupted": [("t1", 100.0)], "living": ["t2"]})
    lines = [start(1, 98.0), start(1, 101.0), complete(1), start(2, 98.0), start(2, 101.0), complete(2)]
    checks = workers.check_kill(scene, account([request(1, 201), request(2, 201)], lines))
    assert found(checks) == [("tasks of living workers that ran twice", "1")]


def test_the_slowest_worker_to_resume_counts_and_one_that_never_does():
    scene = SimpleNamespace(faults=[Fault(KILL, REDIS, 100.0, 102.0, True)], count=lambda name: 1, notes={})
    lines = [start(n, 103.0 + n, worker) for n, worker in enumerate(WORKERS, 1)]
    lines += [complete(n, 107.0) for n in (1, 2, 3)]
    made = [request(n, 201) for n in (1, 2, 3)]
    assert broker.resumed(scene, account(made, lines)) == [2.0, 3.0, 4.0]
    assert found(broker.check_redis_kill(scene, account(made, lines))) == []
    without = [line for line in lines if line["service"] != WORKERS[2]]
    assert ("every worker starts a task after Redis is back in", "never") in found(
        broker.check_redis_kill(scene, account(made, without))
    )


@pytest.mark.parametrize(("second", "wrong"), [
    (Attempt(100.0, 5.0, 200, "t1", from_cache=True), []),
    (Attempt(100.0, 5.0, 504), [("answers 200 from the cache", "0")]),
    (Attempt(100.0, 5.0, 200, "t1"),
     [("answers 200 that are not from the cache", "1"), ("answers 200 from the cache", "0")]),
    (Attempt(100.0, 5.0, 201, "t2"), [
        ("answers 201, one for each key", "2"), ("answers 200 from the cache", "0"),
        ("keys whose copies were told more than one task", "1"), ("tasks that ran", "2"),
    ]),
])  # fmt: skip
def test_the_copies_of_a_key_must_be_told_of_one_task(second, wrong):
    scene = SimpleNamespace(count=lambda name: 1, notes={})
    first, copy, other = request(1, 201, label="copy", key="k"), request(2, label="copy", key="k"), request(3, 422)
    copy.attempts, other.label = [second], "other payload"
    tasks = {1, 2} if second.task_id == "t2" else {1}
    lines = [line for number in tasks for line in (start(number), complete(number))]
    assert found(requests.check_keys(scene, account([first, copy, other], lines))) == wrong


def test_only_attempts_that_redis_could_not_answer_are_judged():
    scene = SimpleNamespace(faults=[Fault(PAUSE, REDIS, 100.0, 110.0, True)])
    one = request(1)
    one.attempts = [Attempt(at, 600.0, 503) for at in (99.0, 100.1, 100.3, 108.9, 109.5)]
    assert [attempt.sent_at for attempt in broker.during(scene, account([one], []))] == [100.3, 108.9]


@pytest.mark.parametrize(("attempt", "wrong"), [
    (Attempt(103.0, 600.0, 503), []),
    (Attempt(103.0, 1200.0, 503), ["the slowest of them"]),
    (Attempt(103.0, 600.0, 500), ["answers while Redis was away"]),
    (Attempt(103.0, 600.0, None), ["answers while Redis was away"]),
    (Attempt(99.0, 600.0, 503), ["answers while Redis was away", "the slowest of them"]),
])  # fmt: skip
def test_every_answer_while_redis_is_away_must_be_a_quick_503(attempt, wrong):
    scene = SimpleNamespace(faults=[Fault(PAUSE, REDIS, 100.0, 110.0, True)])
    one = request(1)
    one.attempts = [attempt]
    assert [what for what, _ in found(broker.check_outage(scene, account([one], [])))] == wrong


def test_waits_count_from_the_answer_to_the_first_start():
    one = request(1, 201)  # answered at 100.005
    assert crowds.waits(account([one], [start(1, 100.5), start(1, 103.0)]), [one]) == [pytest.approx(0.495)]


def test_runs_are_counted_over_all_tasks_of_a_request():
    one = request(1, 201, label="poison")
    assert requests.runs_of(account([one], [start(1), start(1), start(1, task_id="other")]), "poison") == [3]


class States(BaseHTTPRequestHandler):
    """Tells the states of `server.answers`, one after another; the last one stays."""

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        self.server.asked.append(name)
        left = self.server.answers[name]
        self.send_response(200 if left else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        state = (left.pop(0) if len(left) > 1 else left[0]) if left else None
        self.wfile.write(json.dumps({"status": state}).encode())

    def log_message(self, *_):
        pass


def test_the_end_is_waited_for_until_every_task_is_final(monkeypatch):
    monkeypatch.setattr(settle, "LOOK_SECONDS", 0.01)
    told = []
    with ThreadingHTTPServer(("127.0.0.1", 0), States) as api:
        api.answers, api.asked = {"a": ["SUCCESS"], "b": ["PENDING", "STARTED", "FAILURE"], "c": []}, []
        threading.Thread(target=api.serve_forever, args=(0.01,), daemon=True).start()
        stack = drill_stack()
        stack = replace(stack, ports=dict.fromkeys(stack.ports, api.server_port))
        states = settle.states_of(stack, ["a", "b", "c"], 0.3, told.append)
        api.shutdown()
    assert states == {"a": "SUCCESS", "b": "FAILURE", "c": None}
    assert api.asked.count("a") == 1 and api.asked.count("b") == 3 and api.asked.count("c") > 3
    assert told[0] == 2 and told[-1] == 1


def test_a_plan_is_followed_in_order_and_each_fault_is_healed():
    driver = FakeDriver()
    scene = Scene(drill_stack(), driver, "durable", "test/7", {}, lambda text: None)
    scene.follow(
        [Planned(0, KILL, REDIS, 0.01), Planned(0, PAUSE, WORKERS[0], 0.01), Planned(0, RELOAD, "nginx-loadbalancer")]
    )
    assert [(fault.kind, fault.landed) for fault in scene.faults] == [(KILL, True), (PAUSE, True), (RELOAD, True)]
    assert all(fault.ended is not None for fault in scene.faults)
    assert set(driver.states.values()) == {"running"}
    assert scene.watch.ended_unexpectedly() == {}


def test_the_same_seed_draws_the_same_numbers():
    first, second, other = (
        Scene(drill_stack(), FakeDriver(), "durable", seed, {}, print).rng.random() for seed in ("a/7", "a/7", "a/8")
    )
    assert first == second != other
