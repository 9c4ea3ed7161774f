"""What is decided and read without a Swarm."""

from __future__ import annotations

import contextlib
import json

import httpx
import pytest
import yaml

from clew.cli import swarm as cli
from clew.core.errors import ClewError
from clew.core.processes import Result
from clew.drills.account import Account
from clew.drills.model import Attempt, Request
from clew.swarm import autoscale, cluster, control, drill, nodes
from clew.swarm.autoscale import Decision, Rules, decide
from taskqueue.contract import HOPS

RULES = Rules(least=1, most=6, per_worker=20, calm_looks=3)


@pytest.mark.parametrize(
    ("waiting", "workers", "wanted"),
    [(0, 1, 1), (20, 1, 1), (21, 1, 2), (100, 1, 5), (5000, 1, 6), (5000, 6, 6), (60, 3, 3)],
)
def test_a_backlog_gets_its_workers_at_once(waiting, workers, wanted):
    assert decide(waiting, workers, 0, RULES) == Decision(wanted, 0)


def test_workers_go_one_by_one_after_some_calm_looks():
    looks = []
    workers, calm = 6, 0
    for _ in range(7):
        workers, calm = decide(0, workers, calm, RULES)
        looks.append(workers)
    assert looks == [6, 6, 5, 5, 5, 4, 4]


def test_a_burst_ends_the_calm():
    assert decide(40, 2, 2, RULES) == Decision(2, 0)
    assert decide(0, 2, 0, RULES) == Decision(2, 1)


def test_there_is_always_one_worker():
    assert decide(0, 1, 99, RULES).workers == 1


@pytest.mark.parametrize(
    ("count", "managers", "leader"), [(1, [1], 1), (2, [1], 1), (3, [1, 2, 3], 3), (5, [1, 2, 3], 3)]
)
def test_a_swarm_has_an_odd_number_of_managers_and_starts_away_from_redis(count, managers, leader):
    assert list(nodes.managers(count)) == managers
    assert nodes.first_leader(count) == leader


def test_a_node_has_a_name_a_label_a_front_door_and_no_more_rights_than_named(monkeypatch):
    monkeypatch.setenv("CLEW_PORTS", "251")
    stack = cluster.swarm_stack(3)
    command = nodes.run_command(stack, 2, "192.0.2.12")
    assert f"--name={nodes.mark(stack)}-node-2" in command
    assert f"--label=clew.swarm={nodes.mark(stack)}" in command
    assert nodes.mark(stack).startswith("clew-swarm-") and nodes.mark(stack).endswith("-251")
    assert "--publish=127.0.0.1:25251:80" in command
    assert "--privileged" not in command


def test_counts_of_a_service():
    assert cluster.counts("3/6") == (3, 6)
    assert cluster.counts("2/3 (max 1 per node)") == (2, 3)


def test_a_task_counts_once_it_runs():
    tasks = [
        {"Name": "clew_celery-worker.1", "CurrentState": "Running 3 seconds ago"},
        {"Name": "clew_celery-worker.2", "CurrentState": "Starting 3 seconds ago"},
        {"Name": "clew_celery-worker-two.1", "CurrentState": "Running 3 seconds ago"},
    ]
    assert cluster.running(tasks, {"celery-worker": (2, 2)}) == {"celery-worker": (1, 2)}


def test_lines_are_sorted_by_the_service_that_they_name():
    own = json.dumps({"service": "celery-worker-5", "message": "x"})
    assert cluster.by_service([own, "no JSON", "{}", "[1]", '"x"']) == {"celery-worker-5": [own]}


def test_a_line_on_a_node_s_disk_is_unwrapped():
    assert nodes.unwrapped(json.dumps({"log": '{"a":1}\n', "stream": "stdout"})) == '{"a":1}'
    assert nodes.unwrapped('{"log": "cut of') == ""


def test_a_node_of_your_own_swarm_is_never_killed():
    yours = cluster.Cluster(cluster.swarm_stack(3), yours=True)
    with pytest.raises(ClewError, match="kills only nodes that are containers here"):
        control.kill(yours, 1)
    with pytest.raises(ClewError, match="three nodes that are containers here"):
        drill.require(yours)


def test_without_a_swarm_every_command_says_what_starts_one(monkeypatch):
    monkeypatch.setattr(cluster, "noted", lambda stack: {})
    with pytest.raises(ClewError, match="No Swarm") as error:
        cluster.current()
    assert error.value.next_step == "make swarm-up"


class Fake(cluster.Cluster):
    """A Swarm whose managers give the next of some answers; None stands for no leader."""

    def __init__(self, yours, *answers):
        super().__init__(cluster.swarm_stack(3), yours)
        object.__setattr__(self, "answers", list(answers))
        object.__setattr__(self, "asked", [])

    def docker(self, *arguments, seconds=60):
        self.asked.append(" ".join(arguments))
        answer = self.answers.pop(0)
        return Result(1, "", "no leader") if answer is None else Result(0, answer, "")


@pytest.mark.parametrize(
    ("yours", "host", "next_step"), [(False, "ssh://vm-a", "unset DOCKER_HOST"), (True, "", "export DOCKER_HOST=…")]
)
def test_the_nodes_of_another_engine_are_not_forgotten(monkeypatch, tmp_path, yours, host, next_step):
    monkeypatch.setattr("clew.stacks.stack.STATE", tmp_path)
    monkeypatch.setenv("DOCKER_HOST", host)
    monkeypatch.setattr(nodes, "remove", lambda stack: pytest.fail("asked the wrong engine"))
    stack = cluster.swarm_stack(3)
    cluster.note(stack, {"stage": 3, "yours": yours})
    with pytest.raises(ClewError, match="The Swarm that is up") as error:
        control.down()
    assert error.value.next_step == next_step
    assert cluster.noted(stack) == {"stage": 3, "yours": yours}


@pytest.mark.parametrize("yours", [True, False])
@pytest.mark.parametrize("node", ["vm-a", "id1"])
def test_the_node_with_redis_is_never_drained(yours, node):
    swarm = Fake(yours, "id1 vm-a\n")
    with pytest.raises(ClewError, match=f"{node} has Redis"):
        control.drain(swarm, node)
    assert swarm.asked == ["node ls --filter node.label=clew.redis --format {{.ID}} {{.Hostname}}"]


def test_a_node_of_your_own_swarm_is_restored_by_its_name(monkeypatch):
    waited = []
    monkeypatch.setattr(cluster.Cluster, "wait_ready", lambda self, services: 0.0)
    monkeypatch.setattr(cluster.Cluster, "wait_answers", lambda self, doors: waited.extend(doors))
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0)
    nodes_seen = "ready active 192.0.2.7\nready drain 192.0.2.8\ndown active 192.0.2.9\n"
    swarm = Fake(True, "vm-b\n", "down\n", None, "ready\n", "id1\nid2\nid3\n", nodes_seen)
    control.restore(swarm, cli.named(swarm, "vm-b"))
    assert swarm.asked[0] == "node update --availability active vm-b"
    assert waited == ["http://192.0.2.7:80"]


def test_a_node_is_named_by_its_number_here_and_by_its_name_on_your_own_swarm():
    assert cli.named(Fake(False), "2") == "node-2"
    for yours, node, what in ((False, "vm-a", "number"), (True, None, "name")):
        with pytest.raises(ClewError, match=f"must be the {what} of a node") as error:
            cli.named(Fake(yours), node)
        assert error.value.next_step == "make swarm-status"


@pytest.mark.parametrize("yours", [True, False])
@pytest.mark.parametrize("works", [True, False])
def test_of_the_secrets_only_flower_s_stays_and_its_port_is_for_this_machine(monkeypatch, tmp_path, yours, works):
    monkeypatch.setattr("clew.stacks.stack.STATE", tmp_path)
    monkeypatch.setattr(cluster.Cluster, "wait_ready", lambda self, services: 0.0)
    monkeypatch.setattr(cluster.Cluster, "wait_answers", lambda self, doors: 0.0)
    monkeypatch.setattr(cluster.Cluster, "doors", lambda self: [])
    swarm = Fake(yours, *(["id1\n"] if yours else []), "" if works else None)
    shared = nodes.shared(swarm.stack)
    shared.mkdir(parents=True)
    seen = []
    ask = cluster.Cluster.ask
    monkeypatch.setattr(
        cluster.Cluster, "ask", lambda self, *words: (seen.extend(shared.glob("secrets/*")), ask(self, *words))[1]
    )
    with contextlib.nullcontext() if works else pytest.raises(ClewError, match="docker stack deploy"):
        control._deploy(swarm, "sha256:1", print)
    assert {control.WEB_PASSWORD, "api-redis-password"} <= {path.name for path in seen}
    assert [path.name for path in shared.iterdir()] == ["stack.yaml"]
    kept = [path for path in swarm.stack.state.iterdir() if path != shared]
    assert [(path.name, path.stat().st_mode & 0o777) for path in kept] == [(control.WEB_PASSWORD, 0o600)] * works
    assert (
        "5555" in str(yaml.safe_load((shared / "stack.yaml").read_text())["services"]["flower"].get("ports"))
    ) != yours


@pytest.mark.parametrize(
    ("found", "next_step"),
    [
        ({}, "make swarm-down"),
        ({1: True, 2: False, 3: False}, "make swarm-restore NODE=2"),
        ({1: True, 2: True, 3: True}, "docker exec {node-3} docker info"),
        (None, "docker info"),
    ],
)
def test_a_failing_status_never_says_to_ask_for_the_status(monkeypatch, found, next_step):
    stack = cluster.swarm_stack(0)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(cluster, "noted", lambda stack: {"stage": 3, "yours": found is None})
    monkeypatch.setattr(nodes, "existing", lambda stack: found)
    monkeypatch.setattr(nodes, "execute", lambda *words, **more: Result(1, "", "no leader"))
    if found is None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
        monkeypatch.setattr(cluster, "run", lambda *words, **more: Result(1, "", "no leader"))
    with pytest.raises(ClewError, match="docker node ls") as error:
        cli.status.callback(as_json=False)
    assert error.value.next_step == next_step.replace("{node-3}", nodes.node_name(stack, 3))


def test_a_node_that_is_killed_twice_can_be_restored(monkeypatch):
    monkeypatch.setattr(nodes, "run", lambda *words, **more: Result(1, "is not running", ""))
    with pytest.raises(ClewError, match="Node 3 could not be killed: is not running") as error:
        nodes.kill(cluster.swarm_stack(3), 3)
    assert error.value.next_step == "make swarm-restore NODE=3"


def test_autoscaling_goes_on_after_a_moment_without_a_leader(monkeypatch):
    answer = httpx.Response(200, json={"waiting": 21}, request=httpx.Request("GET", "http://x"))
    monkeypatch.setattr(httpx, "get", lambda url, **how: answer)
    monkeypatch.setattr(cluster.Cluster, "doors", lambda self: ["http://x"])
    one = json.dumps({"Name": "clew_celery-worker", "Replicas": "1/1"})
    swarm = Fake(False, None, one, None, one, "")
    look = next(autoscale.control(swarm, RULES, 5, every=0))
    assert (look.waiting, look.before, look.after) == (21, 1, 2)
    assert swarm.answers == [] and swarm.asked[-1] == "service scale --detach clew_celery-worker=2"


def test_the_stack_of_a_swarm_has_its_stage_and_ports_of_its_own(monkeypatch):
    monkeypatch.setenv("CLEW_PORTS", "80")
    stack = cluster.swarm_stack(5, "http://192.0.2.7:80")
    assert (stack.url, stack.number, stack.mix) == ("http://192.0.2.7:80", 5, "11111")
    assert cluster.swarm_stack(0).prefix == "80" and cluster.swarm_stack(0).url == "http://127.0.0.1:8150"


def sent(number, at, label="steps, trail", status=201):
    request = Request(number, f"drill-{number}", "retrying", {}, at, key="k", label=label, paced=True)
    request.attempts.append(Attempt(at, 5.0, status, f"task-{number}" if status == 201 else None))
    return request


def trail(number, hops):
    return [{"hop": hop, "correlation_id": f"drill-{number}", "service": "x", "ts": 1.0} for hop in HOPS[:hops]]


def test_a_trail_is_as_long_as_the_hops_that_kept_the_id():
    requests = [sent(2, 20.0), sent(1, 10.0), sent(3, 15.0, label="steps"), sent(4, 30.0, status=503)]
    lines = [*trail(1, 3), *trail(2, 5), {"hop": "worker", "correlation_id": None, "service": "x", "ts": 1.0}]
    assert drill.trails(requests, lines) == [(10.0, 3), (20.0, 5)]


def test_a_step_counts_the_requests_that_were_due_meanwhile():
    step = drill.Step("scale", 10.0, 20.0, {"new leader": 1.26})
    again = sent(2, 12.0)
    again.attempts.insert(0, Attempt(12.0, 5.0, 503))
    row = step.row([sent(1, 9.9), again, sent(3, 19.9, status=503), sent(4, 20.0)])
    assert (row["requests"], row["tried_again"], row["failed"], row["seconds"]) == (2, 1, 1, 10.0)
    assert row["measured"] == {"new leader": 1.3}


def verdicts(requests, states, trails, steps):
    account = Account(requests, {}, states, [], {}, [])
    return {check.what.partition(":")[0]: check.ok for check in drill.checks_of(account, trails, steps)}


def test_a_lost_task_a_failed_request_and_a_short_trail_are_each_seen():
    steps = [drill.Step("update from", 10.0, 20.0), drill.Step("kill", 30.0, 40.0, {"new leader": 1.0})]
    good = verdicts([sent(1, 1.0)], {"task-1": "SUCCESS"}, [(1.0, 3), (25.0, 5)], steps)
    assert set(good.values()) == {True}
    bad = verdicts([sent(1, 1.0), sent(2, 2.0, status=503)], {"task-1": None}, [(1.0, 3), (25.0, 4)], steps[:1])
    assert [what for what, ok in bad.items() if not ok] == [
        "lost", "failed", "hops of a trail after the update", "another leader after the kill"
    ]  # fmt: skip
