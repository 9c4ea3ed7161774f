"""Mysteries without a stack: what seeds draw, what faults change, how steps are graded, and scores side by side."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clew import ladder
from clew.cli import cli
from clew.core.errors import ClewError
from clew.evidence import client
from clew.lab.mystery import case as cases
from clew.lab.mystery import classroom, guess, probe
from clew.lab.mystery.draw import LEVELS, draw
from clew.lab.mystery.faults import BASIC, CAUSES, PROVOKE, RARE, Fault
from clew.show import classroom as shown
from clew.stacks import lifecycle
from clew.stacks import stack as stacks
from clew.stacks.stack import Stack
from taskqueue.contract import VALID_ID

ALL = (*BASIC, *RARE)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the mystery's folder, notes and scores ones of this test."""
    monkeypatch.setattr(stacks, "STATE", tmp_path / "state")
    monkeypatch.setattr(cases, "SCORES", tmp_path / "scores")
    one = Stack("mystery", "mystery", tmp_path / "try" / "mystery", stacks.ports_of("mystery"))
    monkeypatch.setattr(cases, "mystery_stack", lambda: one)
    return one.folder


def begin(*faults: Fault, monkeypatch: pytest.MonkeyPatch) -> cases.Case:
    """Begin a mystery with these faults, whatever its seed draws."""
    monkeypatch.setattr(cases, "draw", lambda *_: list(faults))
    case = cases.Case(7, 2, None, "Ada", 1.0)
    cases.write(case.faults)
    return case.save()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what is done to the mystery's stack, with the texts of its layers at that moment, in place of doing it."""
    done: list[str] = []

    def note(verb: str) -> Any:
        def noted(stack: Stack, *_: Any) -> str:
            paths = [stack.folder / layer.file for layer in ladder.LAYERS]
            text = "".join(path.read_text() for path in paths if path.exists())
            done.append(f"{verb} {hashlib.sha256(text.encode()).hexdigest()[:6]}")
            return "local"

        return noted

    monkeypatch.setattr(lifecycle, "down", note("down"))
    monkeypatch.setattr(lifecycle, "up", note("up"))
    return done


def typed(*words: str) -> str:
    """Type a command; return all that it prints."""
    return CliRunner().invoke(cli, list(words), catch_exceptions=False).output


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.key)
def test_a_fault_changes_the_file_of_its_layer_and_python_can_read_it(fault: Fault, own_folder: Path) -> None:
    cases.write([fault])
    changed = [
        layer.hop
        for layer in ladder.LAYERS
        if (own_folder / layer.file).read_bytes() != ladder.source(layer, fixed=True).read_bytes()
    ]
    assert changed == [fault.hop]
    if fault.layer.file.endswith(".py"):
        compile(fault.text(), fault.key, "exec")
    assert len(fault.hints) == 3 and all(fault.hints)
    assert fault.cause in CAUSES and fault.cause in PROVOKE


def test_the_same_seed_is_the_same_mystery_everywhere() -> None:
    drawn = {seed: [fault.key for fault in draw(seed, 2)] for seed in range(1, 9)}
    assert drawn == {
        1: ["reuse@worker"], 2: ["swapped@queue-service"], 3: ["swapped@queue-service"], 4: [], 5: [],
        6: ["cut@queue-service"], 7: ["retry@worker"], 8: ["lower-case@queue-service"],
    }  # fmt: skip
    assert [fault.key for fault in draw(3, 3)] == ["cut@nginx", "one-replica@task-service", "one-type@worker"]


@pytest.mark.parametrize("level", LEVELS)
def test_every_fault_of_a_level_is_drawn_and_none_hides_another(level: int) -> None:
    seen = set()
    nothing = 0
    for seed in range(400):
        faults = draw(seed, level)
        seen |= {fault.key for fault in faults}
        nothing += not faults
        assert len({fault.hop for fault in faults}) == len({fault.cause for fault in faults}) == len(faults)
    assert seen == {fault.key for fault in (BASIC if level == 1 else RARE)}
    assert (nothing == 0) if level == 3 else (40 < nothing < 130)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_so_many_faults_as_asked_for(count: int) -> None:
    assert all(len(draw(seed, 2, count)) == count for seed in range(50))


@pytest.mark.parametrize(("level", "count"), [(0, None), (4, None), (1, 2), (2, 0), (2, 4)])
def test_impossible_mysteries_are_refused(level: int, count: int | None) -> None:
    with pytest.raises(ClewError) as refused:
        draw(7, level, count)
    assert refused.value.next_step.startswith("make mystery")


def test_four_steps_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    case = begin(RARE[0], RARE[6], monkeypatch=monkeypatch)
    with pytest.raises(ClewError, match="'cause' comes later; now it is 'detect'"):
        guess.require_step(case, "cause")
    case, said = guess.detect(case, True)
    assert said == "Right: something is wrong."
    with pytest.raises(ClewError, match="was guessed already"):
        guess.detect(case, False)
    case, said = guess.localise(case, "nginx worker")
    assert said == "Not quite: 1 of your 2 right; 1 more to find. The right layers are told at the end."
    case, said = guess.cause(case, "swapped, cut")
    assert said == "Right: cut, swapped."
    assert case.steps == {"detect": True, "localise": False, "cause": True, "fix": None}
    assert cases.current() == case, "it is remembered between commands"
    assert replace(case, steps={**case.steps, "fix": True}, hints=1, fixes=2).score == 10 + 30 + 30 - 10 - 10


@pytest.mark.parametrize("text", ["nowhere", "nginx nowhere", "", " , "])
def test_a_guess_that_is_none_tells_what_there_is(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    case, _ = guess.detect(begin(RARE[0], monkeypatch=monkeypatch), True)
    with pytest.raises(ClewError, match="there are nginx, routes, task-service, queue-service, worker"):
        guess.localise(case, text)
    assert cases.current().steps["localise"] is None, "it cost nothing"


@pytest.mark.parametrize(("said", "score"), [(False, 100), (True, 0)])
def test_where_nothing_is_wrong_the_first_step_is_the_last(
    monkeypatch: pytest.MonkeyPatch, said: bool, score: int
) -> None:
    case, _ = guess.detect(begin(monkeypatch=monkeypatch), said)
    assert case.ended is not None and case.score == score and case.next_step is None
    with pytest.raises(ClewError, match="This mystery is over"):
        guess.require_step(case, "localise")
    assert json.loads(cases.score_path(case).read_text())["score"] == score


def test_hints_go_from_vague_to_plain_and_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    case = begin(RARE[0], RARE[6], monkeypatch=monkeypatch)
    told = [cases.next_hint(cases.current()) for _ in range(7)]
    assert [text[:11] for text in told] == [f"Hint {n} of 6" for n in (1, 2, 3, 4, 5, 6, 6)]
    assert told[-1].endswith(RARE[6].hints[2])
    assert cases.current().hints == 6 and cases.current().score == 0
    assert guess.show(case).score == 0


class Simulated:
    """A stack of one Python function for each layer: from the ID that it is given to the one that it hands on.

    `silent` is a hop without log lines, `answered` what becomes of the ID in the answer, `status` how tasks end.
    """

    def __init__(
        self, layers: dict[str, Any] | None = None, silent: str = "", answered: Any = None, status: str = "SUCCESS"
    ) -> None:
        self.layers = {"nginx": valid_or_new} | (layers or {})
        self.silent, self.answered, self.status = silent, answered, status
        self.texts: dict[str, list[str]] = {}
        self.count = itertools.count()

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        return self.texts

    def send(
        self, stack: Stack, sent_id: str, body: dict[str, Any], service: str = "", header: bool = True
    ) -> client.Answer:
        task_id = f"t{next(self.count)}"
        given: Any = sent_id if header else ""
        answered = ""
        for hop in ladder.HOPS[0 if "nginx" in service else 1 :]:
            given = self.layers.get(hop, lambda found, body: found)(given, body)
            answered = answered or given or ""
            fields = {"task_id": task_id} if hop in probe.HOPS_WITH_TASK else {}
            for message in ("START", "COMPLETE") if hop == "worker" else ("Handing on",):
                if hop != self.silent:
                    self.line(
                        hop=hop if message != "COMPLETE" else None, correlation_id=given, message=message, **fields
                    )
        answered = self.answered(answered) if self.answered else answered
        return client.Answer(sent_id if header else "", 0.0, 1.0, 201, answered, {"task_id": task_id})

    def line(self, **fields: Any) -> None:
        line = {"ts": time.time(), **fields, "message": f"x {fields['message']}"}
        self.texts.setdefault("celery-worker-1", []).append(json.dumps(line))


def valid_or_new(found: str, body: Any = None) -> str:
    return found if VALID_ID.fullmatch(found) else uuid.uuid4().hex


def probed(stack: Simulated, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Probe a simulated stack; return the places in which something is wrong."""
    monkeypatch.setattr(client, "send", stack.send)
    monkeypatch.setattr(client, "result", lambda *_: {"status": stack.status, "error": "broken"})
    monkeypatch.setattr(probe, "LINES_SECONDS", 0)
    return {one.hop for one in probe.probe(cases.mystery_stack(), stack)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ({}, set()),
        ({"layers": {"nginx": lambda found, body: valid_or_new(found)[:64]}}, {"nginx"}),
        ({"layers": {"routes": lambda found, body: found[:127]}}, {"routes"}),
        ({"layers": {"nginx": lambda found, body: valid_or_new(found.replace("_", " "))}}, {"nginx"}),
        ({"layers": {"nginx": lambda found, body: found}}, {"answer"}),
        ({"layers": {"nginx": lambda found, body: found or valid_or_new("")}}, {"answer"}),
        ({"layers": {"nginx": lambda found, body: found if VALID_ID.fullmatch(found) else "none"}}, {"answer"}),
        ({"layers": {"routes": lambda found, body: found if "Mystery" in found else None}}, {"routes"}),
        ({"layers": {"worker": lambda found, body: None if body["task_type"] == "stress_test" else found}}, {"worker"}),
        ({"layers": {"queue-service": lambda found, body: found.lower()}}, {"queue-service"}),
        ({"layers": {"nginx": lambda found, body: uuid.uuid4().hex}}, {"nginx"}),
        ({"answered": lambda found: uuid.uuid4().hex}, {"nginx", "answer"}),
        ({"answered": lambda found: ""}, {"answer"}),
        *(({"silent": hop}, {hop}) for hop in ladder.HOPS),
    ],
)
def test_the_probe_knows_a_fix_that_is_none(
    monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any], where: set[str]
) -> None:
    assert probed(Simulated(**broken), monkeypatch) == where


@pytest.mark.parametrize(("status", "times", "refused"), [(503, 2, False), (504, 3, True), (500, 1, True)])
def test_a_request_that_an_overloaded_stack_refuses_is_sent_again(
    monkeypatch: pytest.MonkeyPatch, status: int, times: int, refused: bool
) -> None:
    stack = Simulated()
    send, left = stack.send, [status] * times

    def overloaded(*words: Any, **options: Any) -> client.Answer:
        return client.Answer("", 0.0, 1.0, left.pop(), "", {}) if left else send(*words, **options)

    stack.send = overloaded  # type: ignore[method-assign]
    with pytest.raises(ClewError, match=str(status)) if refused else contextlib.nullcontext():
        assert probed(stack, monkeypatch) == set()


def test_tasks_that_fail_are_no_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClewError, match="ended as FAILURE: broken"):
        probed(Simulated(status="FAILURE"), monkeypatch)


def test_of_a_request_the_first_place_is_told() -> None:
    sent = [probe.Sent("A", "A", "t1"), probe.Sent("B", "B", "t2")]
    good = [{"hop": hop, "correlation_id": one.sent} for hop in ladder.HOPS[:3] for one in sent]
    queued = [{"hop": "queue-service", "task_id": one.task_id, "correlation_id": one.sent} for one in sent]
    of_tasks = [{"hop": "worker", "task_id": one.task_id, "correlation_id": one.sent} for one in sent]
    assert probe.wrong([*good, *queued, *of_tasks], sent) == []
    assert list(map(str, probe.wrong([*good[1:], *of_tasks], sent))) == [
        "nginx: no line has A", "queue-service: no line has B",
    ]  # fmt: skip
    swapped = [{**of_tasks[0], "correlation_id": "B"}, {**of_tasks[1], "correlation_id": None}]
    assert list(map(str, probe.wrong([*good, *queued, *swapped], sent))) == [
        "worker: A became B", "worker: B became no ID",
    ]  # fmt: skip
    retried = [*of_tasks, {**of_tasks[1], "correlation_id": None}]
    assert list(map(str, probe.wrong([*good, *queued, *retried], sent))) == ["worker: B became no ID"]
    assert str(probe.Wrong("answer", "", "")) == "a request with no ID was answered with no ID"


def test_a_fix_without_an_edit_costs_nothing(monkeypatch: pytest.MonkeyPatch, own_folder: Path) -> None:
    case = begin(RARE[0], RARE[6], monkeypatch=monkeypatch)
    case = replace(case, steps={**case.steps, "detect": True, "localise": False, "cause": True}).save()
    monkeypatch.setattr(guess, "running_driver", lambda stack: None)
    with pytest.raises(ClewError, match=r"Nothing was changed: the files in .* This cost nothing") as refused:
        typed("guess", "--fix")
    assert refused.value.next_step == guess.HOW["fix"] and cases.current() == case
    file = own_folder / RARE[0].layer.file
    file.write_text(file.read_text() + "\n")
    with pytest.raises(ClewError, match="is not up"):
        typed("guess", "--fix")
    file.unlink()
    with pytest.raises(ClewError, match=r"There is no file .*nginx\.conf any more"):
        typed("guess", "--fix")


def score(**fields: Any) -> dict[str, Any]:
    steps = {"detect": True, "localise": True, "cause": False, "fix": None}
    return {"format": 1, "name": "Ada", "seed": 7, "level": 2, "faults": 1, "started_at": 0.0, "seconds": 65.0,
            "hints": 1, "steps": steps, "score": 30} | fields  # fmt: skip


def test_scores_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.cli.mystery.STATE", tmp_path)
    folder = tmp_path / "handed-in"
    folder.mkdir()
    for number, fields in enumerate((
        {"asked_for": 2}, {"name": "<b>Bob</b>", "score": 90}, {"name": "Cyd\udcff", "seconds": 20.0},
    )):  # fmt: skip
        (folder / f"{number}.json").write_text(json.dumps(score(**fields)))
    assert [one.name for one in classroom.read([folder])[0]] == ["<b>Bob</b>", "Cyd\udcff", "Ada"]
    done = CliRunner().invoke(cli, ["classroom", "--dir", str(folder)], catch_exceptions=False)
    assert "Cyd" in done.output and "1:05" in done.output
    page = (tmp_path / "classroom.html").read_text()
    assert "&lt;b&gt;Bob" in page and "<b>Bob" not in page and "http" not in page
    row = shown.row(classroom.read([folder])[0][2])
    assert row[1:6] == ["7, level 2, FAULTS=2", "● right", "● right", "○ wrong", "–"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value"), ("[]", "not a score"), ("{}", "not a score"),
        (json.dumps(score(format=2)), "not a score in format 1"), (json.dumps(score(steps={})), "has no 'detect'"),
        (json.dumps(score(score=1000)), "a number in it"), (json.dumps(score(replay=True)), "replay"),
        (json.dumps(score(score=float("inf"))), "Infinity is not a number"),
        (json.dumps(score(seconds=float("nan"))), "NaN is not a number"),
        (json.dumps(score()).replace("65.0", "1e999"), "a number in it"),
        (json.dumps(score()).replace('"score": 30', '"score": 1e999'), "infinity"),
        ('{"format": ' + "[" * 40_000, "nested too deeply"), (json.dumps(score(steps=7)), "subscriptable"),
        (json.dumps(score(steps={"detect": "yes", "localise": None, "cause": None, "fix": None})), "a step is neither"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_score_is_named_and_the_others_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    monkeypatch.setattr("clew.cli.mystery.STATE", tmp_path)
    (tmp_path / "good.json").write_text(json.dumps(score()))
    (tmp_path / "bad.json").write_text(text)
    (tmp_path / "folder.json").mkdir()
    done = CliRunner().invoke(cli, ["classroom", str(tmp_path / "good.json"), "--dir", str(tmp_path)])
    assert isinstance(done.exception, ClewError)
    first, *named = done.exception.message.splitlines()
    assert first == "2 of 4 files are not scores, and were left out:"
    assert named[0].startswith("  bad.json: ") and problem in named[0]
    assert named[1] == "  folder.json: it is not a file"
    assert done.output.count("Ada") == 2 and (tmp_path / "classroom.html").read_text().count("Ada") == 2


def test_no_scores_at_all(tmp_path: Path) -> None:
    with pytest.raises(ClewError, match="no score files"):
        classroom.read([tmp_path])
    with pytest.raises(ClewError, match="no file or folder"):
        classroom.read([tmp_path / "scores"])


def test_a_level_without_a_seed_does_not_go_on_with_another_mystery(monkeypatch: pytest.MonkeyPatch) -> None:
    begin(RARE[0], monkeypatch=monkeypatch)
    with pytest.raises(ClewError, match="needs a SEED"):
        CliRunner().invoke(cli, ["mystery", "--level", "3"], catch_exceptions=False)


def test_the_next_mystery_begins_with_all_services_down_and_says_no_file(
    steps: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    typed("mystery", "--seed", "1")
    first = len(steps)
    said = typed("mystery", "--seed", "2") + capsys.readouterr().err
    ended, started = steps[first:]
    assert ended.replace("down", "up") == steps[first - 1], "down comes before another file is written"
    assert started.startswith("up ") and started != steps[first - 1]
    assert "all nine services start again" in said and "changed" not in said


def test_the_same_seed_goes_on_with_a_mystery_that_is_not_over(steps: list[str], own_folder: Path) -> None:
    typed("mystery", "--seed", "1", "--name", "Ada")
    typed("mystery", "--hint")
    begun = cases.current()
    file = own_folder / "celery-worker/tasks.py"
    original = file.read_text()
    file.write_text("# edited\n")
    for words in (["--seed", "1"], ["--seed", "1", "--name", "Ada"], []):
        assert "You go on where you were" in typed("mystery", *words)
    assert file.read_text() == "# edited\n" and cases.current() == begun and begun.hints == 1
    typed("mystery", "--reset")
    assert file.read_text() == original and cases.current() == begun
    for words in (["--name", "Bob"], ["--faults", "1"], ["--level", "1"]):
        assert "You go on" not in typed("mystery", "--seed", "1", *words)
        assert cases.current().hints == 0
    with pytest.raises(ClewError, match="that was begun is 1, not 9"):
        typed("mystery", "--seed", "9", "--show")


def test_the_clock_starts_when_the_stack_is_up(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ClewError("It does not start.", "make mystery")

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "up", fail)
        with pytest.raises(ClewError, match="does not start"):
            typed("mystery", "--seed", "1")
    assert cases.current().started_at == 0.0 and cases.current().to_json()["seconds"] == 0.0
    typed("mystery")
    assert cases.current().started_at > 0


def test_an_impossible_mystery_ends_nothing(steps: list[str]) -> None:
    typed("mystery", "--seed", "1")
    before = [*steps]
    with pytest.raises(ClewError, match="no level 9"):
        typed("mystery", "--seed", "2", "--level", "9")
    assert steps == before and cases.current().seed == 1


def test_the_first_finished_score_stays(steps: list[str], tmp_path: Path) -> None:
    typed("mystery", "--seed", "4", "--name", "Ada")  # nothing is wrong in it
    assert "100 of 100 points" in typed("guess", "--wrong", "no")
    file = tmp_path / "scores/Ada-seed-4-level-2.json"
    first = file.read_bytes()
    ended = cases.current()
    assert "100 of 100" in typed("mystery", "--show"), "it is over: giving up changes nothing"
    typed("mystery", "--hint")
    assert "This mystery is over" in typed("mystery")
    assert cases.current() == ended and file.read_bytes() == first
    assert "this is a replay, which does not count" in typed("mystery", "--seed", "4", "--name", "Ada")
    assert "0 of 100 points" in (told := typed("guess", "--wrong", "yes"))
    assert "This was a replay" in told and cases.current().to_json()["replay"] is True
    assert file.read_bytes() == first


def test_each_player_and_each_mystery_has_a_score_of_its_own() -> None:
    played = [cases.Case(7, 2, None, name) for name in ("Zoë", "Zoé", "x" * 300, "../..")]
    played += [cases.Case(7, 3, None, "Zoë"), cases.Case(7, 2, 1, "Zoë")]
    files = [cases.score_path(case) for case in played]
    assert len({*files}) == 6
    assert {file.parent for file in files} == {cases.SCORES} and max(len(file.name) for file in files) < 100
    assert files[5].name == "Zoë-seed-7-level-2-faults-1.json"
