"""A drill from beginning to end, with a stack that is only words: its verdict, its folder, its end in any case."""

import contextlib
import gzip
import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from fake_drill import FakeDriver, applied, complete, start

from clew.core.errors import ClewError
from clew.drills import run as running
from clew.drills import saved
from clew.drills.book import DRILLS, drill_named
from clew.drills.faults import KILL
from clew.drills.judge import always
from clew.drills.model import Attempt, Drill
from clew.show import spacetime
from clew.stacks.services import REDIS, SERVICES
from clew.stacks.stack import all_stacks, drill_stack


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """A driver; what `run` does to a stack is written down in `done`."""
    driver, done = FakeDriver(), []
    monkeypatch.setattr(saved, "FOLDER", tmp_path / "drills")
    monkeypatch.setattr(running, "running_driver", lambda stack, everywhere: None)
    monkeypatch.setattr(running.client, "warm_up", lambda stack: done.append("warm-up"))
    monkeypatch.setattr(running, "states_of", lambda stack, ids, seconds, progress: dict.fromkeys(ids, "SUCCESS"))
    monkeypatch.setattr(running, "QUIET_SECONDS", 0)
    fakes = SimpleNamespace(
        reserved=lambda stack: contextlib.nullcontext(),
        start=lambda stack, say: done.append(f"start {stack.settings}") or SimpleNamespace(driver=driver),
        down=lambda stack: done.append("down"),
    )
    monkeypatch.setattr(running, "lifecycle", fakes)
    monkeypatch.setattr(running.Scene, "wait", lambda self, condition, seconds, what: 0.0)
    monkeypatch.setattr(running.Scene, "answered", lambda self: None)
    return SimpleNamespace(driver=driver, done=done, folder=tmp_path / "drills")


def one_task(scene):
    """Accept one task, and have its lines in the logs."""
    request = scene.plan.request({"priority": "medium"}, scene.began, "plain")
    request.attempts.append(Attempt(scene.began, 5.0, 201, "t1"))
    scene.sender.requests.append(request)
    for line in (start(1), applied(1), complete(1)):
        text = json.dumps({**line, "correlation_id": request.correlation_id})
        scene.driver.texts["celery-worker-1"].append(text)
    with scene.fault(KILL, REDIS):
        pass


def drill_of(act, checks=lambda scene, account: always(account)):
    return Drill("test", "It works.", ("It does.",), "It does not.", act, checks, {}, {})


def perform(act, **options):
    return running.run(
        drill_of(act, **options), "stock", 7, True, lambda text: None, lambda one: str(spacetime.drawing(one))
    )


def test_a_run_that_shows_nothing_wrong_holds_and_leaves_its_folder(stage):
    result = perform(one_task)
    assert (result.verdict, result.exit_code, result.unknown) == ("held", 0, [])
    assert stage.done == ["start stock", "warm-up", "down"]
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "diagram.svg", "logs", "requests.jsonl", "result.json",
    ]  # fmt: skip
    assert (stage.folder / "latest").resolve() == result.folder
    told = json.loads((result.folder / "result.json").read_text())
    assert (told["verdict"], told["seed"], told["on"], told["counts"]["acknowledged"]) == ("held", 7, "stock", 1)
    assert [fault["kind"] for fault in told["faults"]] == ["kill"]
    assert len(list((result.folder / "logs").iterdir())) == len(SERVICES)
    with gzip.open(result.folder / "logs/celery-worker-1.log.gz", "rt") as log:
        assert "Rehearsal START" in log.read()
    (request,) = map(json.loads, (result.folder / "requests.jsonl").read_text().splitlines())
    assert request["outcome"] == "acknowledged" and request["attempts"][0]["status"] == 201


def test_a_task_that_never_finished_breaks_the_claim(stage, monkeypatch):
    monkeypatch.setattr(running, "states_of", lambda stack, ids, seconds, progress: dict.fromkeys(ids, "STARTED"))
    result = perform(one_task)
    assert (result.verdict, result.exit_code) == ("broken", 1)
    told = {line["message"] for line in result.trail}
    assert {"POST", "answer 201", "Rehearsal START", "Booking applied"} <= told


def test_a_fault_that_has_no_effect_leaves_the_verdict_unknown(stage):
    stage.driver.works = False
    result = perform(one_task)
    assert (result.verdict, result.exit_code) == ("unknown", 2)
    assert result.unknown == ["The fault did not land: kill redis-broker."]


def test_a_log_that_lost_its_beginning_leaves_the_verdict_unknown(stage):
    def act(scene):
        one_task(scene)
        scene.driver.texts["flower"] = ['{"ts": 2.0, "message": "the second line"}']

    result = perform(act)
    assert result.verdict == "unknown" and "flower" in result.unknown[0]


def test_an_error_of_the_stack_leaves_the_verdict_unknown_and_faults_are_healed(stage):
    def act(scene):
        one_task(scene)
        scene.inject(KILL, REDIS)
        raise ClewError("Something hung.", "make drills")

    result = perform(act)
    assert result.verdict == "unknown" and result.unknown == ["Something hung."]
    assert stage.driver.states[REDIS] == "running" and stage.done[-1] == "down"


def test_an_interrupted_run_keeps_its_folder_and_takes_the_stack_down(stage):
    def act(scene):
        one_task(scene)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(act)
    told = json.loads((stage.folder / "latest/result.json").read_text())
    assert (told["verdict"], told["unknown"]) == ("unknown", ["It was interrupted."])
    assert stage.done[-1] == "down"


def test_a_drill_for_another_driver_is_refused_and_the_stack_is_taken_down(stage):
    drill = drill_named("power-cut")
    stage.driver.name = "docker"
    with pytest.raises(ClewError, match="strace") as raised:
        running.run(drill, "durable", 7, True, lambda text: None)
    assert raised.value.next_step == "make drill NAME=power-cut DRIVER=local"
    assert stage.done == ["start durable", "down"]


def test_what_never_happened_is_null_in_the_document(stage):
    def act(scene):
        one_task(scene)
        scene.notes["resumed"] = [("celery-worker-1", float("inf"))]

    told = (perform(act).folder / "result.json").read_text()
    assert "Infinity" not in told and json.loads(told)["notes"]["resumed"] == [["celery-worker-1", None]]


def test_the_newest_result_of_each_drill(stage):
    perform(one_task)
    assert saved.last_results()["test", "stock"]["verdict"] == "held"


def test_the_diagram_escapes_what_the_logs_say_and_shows_the_fault(stage):
    def act(scene):
        one_task(scene)
        line = {**complete(1), "message": "<script>\x1b"}
        line["correlation_id"] = scene.sender.requests[0].correlation_id
        scene.driver.texts["celery-worker-1"].append(json.dumps(line))

    text = (perform(act).folder / "diagram.svg").read_text()
    assert "&lt;script&gt;\\x1b" in text and "<script>" not in text
    assert "redis-broker killed" in text and "redis-broker started" in text
    root = ElementTree.fromstring(text)  # noqa: S314 - our own
    assert root.get("role") == "img" and len(root.findall("{*}circle")) >= 5


def test_far_moments_are_drawn_within_limits():
    first, second, third = spacetime.heights([0.0, 0.001, 900.0])
    assert second - first == spacetime.NEAREST and third - second == spacetime.FARTHEST
    assert spacetime.heights([]) == []


def test_every_drill_of_the_issue_is_there_and_described():
    wanted = {
        "worker-kill", "tiny-loss", "redis-kill", "redis-pause", "redis-down", "power-cut", "api-kill", "api-hang",
        "rolling", "herd", "breaker", "priority", "idempotency", "poison", "hostile-messages", "retries", "mixed",
    }  # fmt: skip
    assert set(DRILLS) == wanted
    for drill in DRILLS.values():
        sentences = (drill.claim, *drill.should, drill.stock)
        assert all(text.endswith(".") and len(text) > 20 for text in sentences), drill.name
        assert drill.full.keys() == drill.short.keys()
        assert all(drill.short[name] <= drill.full[name] for name in drill.full), drill.name


def test_a_drill_that_does_not_exist_is_an_error_with_the_names():
    with pytest.raises(ClewError, match="worker-kill, tiny-loss"):
        drill_named("worker-kil")


def test_down_knows_the_drills_stack():
    assert drill_stack() in all_stacks()
    assert drill_stack("stock").compose_environment["CLEW_SETTINGS"] == "stock"
    assert drill_stack().command("down").startswith("make down")
