"""Fix it yourself, without a stack: the working copy, the hints, the known wrong fixes, and what the rules see."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clew import ladder
from clew.cli.main import cli
from clew.core.errors import ClewError
from clew.evidence.client import Answer
from clew.lab.tries import diagnoses, grade, watching, workspace
from clew.lab.tries import seen as seen_module
from clew.lab.tries.hints import HINTS
from clew.lab.tries.seen import Asked, Called, Seen, _crowd
from clew.lab.tries.wrong import WRONG
from clew.show import tries as words
from clew.stacks import lifecycle
from clew.stacks import stack as stacks
from clew.stacks.services import API_SERVERS, NGINX
from clew.stacks.stack import Stack


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the working copy and its notes ones of this test."""
    monkeypatch.setattr(stacks, "STATE", tmp_path / "state")
    one = Stack("try", "try", tmp_path / "try" / "stage", stacks.ports_of("try"))
    monkeypatch.setattr(workspace, "try_stack", lambda: one)
    return one.folder


def test_the_working_copy_is_the_stage_before_the_fix(own_folder: Path) -> None:
    work = workspace.prepare("3")
    assert ladder.mix_of(own_folder) == "11000"
    assert work.file == own_folder / "fastapi-app/services/task_service.py"
    assert not work.touched
    assert workspace.current() == work


@pytest.mark.parametrize("number", ["0", "6", "x", "-1", ""])
def test_there_are_five_fixes(own_folder: Path, number: str) -> None:
    with pytest.raises(ClewError, match="the fixes are 1 to 5"):
        workspace.prepare(number)
    assert not own_folder.exists()


def test_without_a_working_copy_the_next_step_is_to_make_one(own_folder: Path) -> None:
    with pytest.raises(ClewError) as nothing:
        workspace.current()
    assert nothing.value.next_step == "make try-3"


def test_nothing_that_was_written_is_lost(own_folder: Path) -> None:
    work = workspace.prepare(3)
    work.file.write_text("mine")
    assert workspace.prepare(3).file.read_text() == "mine", "the same fix again goes on"

    other = workspace.prepare(4)
    assert ladder.mix_of(own_folder) == "11100", "the layer before is ours now"
    other.file.write_text("other")
    assert workspace.prepare(3).file.read_text() == "mine"
    assert workspace.prepare(4).file.read_text() == "other"

    assert not workspace.prepare(4, reset=True).touched
    kept = own_folder.with_name("stage-kept") / "layer-4"
    assert {path.name: path.read_text() for path in kept.iterdir()}["queue_service.py.before-reset"] == "other"

    workspace.write(workspace.current(), "third")
    workspace.write(workspace.current(), "fourth")
    assert (kept / "queue_service.py.before-notebook").read_text() == "third"


def kept(own_folder: Path) -> dict[str, str]:
    folder = own_folder.with_name("stage-kept")
    return {path.name: path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_kept_is_never_overwritten(own_folder: Path) -> None:
    for text in ("first", "second", "second", "third"):
        workspace.prepare(3).file.write_text(text)
        workspace.prepare(3, reset=True)
    names = [f"task_service.py.before-reset{more}" for more in ("", "-2", "-3")]
    assert kept(own_folder) == dict(zip(names, ("first", "second", "third"), strict=True))

    work = workspace.current()
    for text in ("one", "two", "three"):
        workspace.write(work, text)
    assert {"one", "two"} <= set(kept(own_folder).values())


def test_a_reset_is_not_undone_by_turning_to_another_layer(own_folder: Path) -> None:
    workspace.prepare(3).file.write_text("mine")
    workspace.prepare(4)
    workspace.prepare(3)
    assert not workspace.prepare(3, reset=True).touched
    workspace.prepare(4)
    assert not workspace.prepare(3).touched
    assert "mine" in kept(own_folder).values()

    workspace.prepare(3).file.write_text("again mine")
    workspace.prepare(4)
    assert not workspace.prepare(3, reset=True).touched, "a reset from another layer is one, too"
    assert "again mine" in kept(own_folder).values()


def test_what_was_written_in_another_layers_file_is_kept(own_folder: Path) -> None:
    workspace.prepare(3)
    (own_folder / "fastapi-app/api/routes.py").write_text("routes of mine")
    workspace.prepare(4)
    assert kept(own_folder) == {"routes.py.before-try-4": "routes of mine"}
    workspace._note().unlink()  # as after `make clean`, which leaves the folder
    (own_folder / "celery-worker/tasks.py").write_text("tasks of mine")
    workspace.prepare(4)
    assert kept(own_folder)["tasks.py.before-try-4"] == "tasks of mine"


def test_what_is_written_in_a_later_layer_during_a_check_stays(own_folder: Path) -> None:
    work = workspace.prepare(2)
    tasks = own_folder / "celery-worker/tasks.py"
    tasks.write_text("before the check")
    with workspace.reserved(), workspace.later_layers_fixed(work):
        tasks.write_text("during the check")
    assert tasks.read_text() == "during the check"
    assert kept(own_folder) == {"tasks.py.before-check": "before the check"}
    assert ladder.mix_of(own_folder) == "1000?"


def test_a_check_that_was_killed_is_undone_by_the_next_command(own_folder: Path) -> None:
    work = workspace.prepare(2)
    (own_folder / "celery-worker/tasks.py").write_text("edited by the learner")
    block = workspace.later_layers_fixed(work)
    block.__enter__()
    assert ladder.mix_of(own_folder) == "10111"
    workspace.current()
    assert ladder.mix_of(own_folder) == "1000?"
    assert (own_folder / "celery-worker/tasks.py").read_text() == "edited by the learner"


def test_a_check_under_way_is_left_alone_by_other_commands(own_folder: Path) -> None:
    work = workspace.prepare(2)
    with workspace.reserved(), workspace.later_layers_fixed(work):
        assert workspace.current().next_hint().startswith("Hint 1")
        assert ladder.mix_of(own_folder) == "10111", "the layers that the check has fixed are still fixed"
        for command in (lambda: workspace.prepare(3), lambda: workspace.up(work, print)):
            with pytest.raises(ClewError, match="in use by another command"):
                command()
    assert ladder.mix_of(own_folder) == "10000"


def test_hints_come_one_after_the_other_and_the_last_one_stays(own_folder: Path) -> None:
    workspace.prepare(5)
    shown = [workspace.current().next_hint() for _ in range(4)]
    assert [text.partition(":")[0] for text in shown] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3"]
    assert set(HINTS) == set(ladder.HOPS)


def test_a_file_that_python_cannot_read_is_told_with_its_line(own_folder: Path) -> None:
    work = workspace.prepare(3)
    work.file.write_text("def create_task(\n")
    verdict = grade.not_readable(work)
    assert verdict is not None
    assert "line 1" in verdict.words
    work.file.write_text("fine = True\n")
    assert grade.not_readable(work) is None


def solved(work: workspace.Workspace, is_solved: bool = True) -> grade.Verdict:
    return grade.Verdict(work.number, is_solved, "" if is_solved else "made_up", "words")


def test_a_verdict_is_about_the_file_as_it_is(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = workspace.prepare(3)
    judged: list[str] = []

    def judge(*_: object) -> grade.Verdict:
        judged.append(work.file.read_text())
        if len(judged) == 1:
            work.file.write_text("saved_during = 1\n")
            return solved(work)
        if len(judged) == 2:
            work.file.write_text("saved_during = 22\n")
            raise ClewError("It does not start.", "make try-3")
        return solved(work, is_solved=False)

    monkeypatch.setattr(grade, "_judged", judge)
    assert grade.check(work).key == "made_up"
    assert judged[1:] == ["saved_during = 1\n", "saved_during = 22\n"]

    judged.clear()
    monkeypatch.setattr(grade, "_judged", lambda *_: work.file.write_text(work.file.read_text() + "#") and solved(work))
    never = grade.check(work)
    assert (never.solved, never.key) == (False, "saved_meanwhile")


def test_a_watch_checks_what_was_saved_during_a_check_and_ends_only_when_that_is_solved(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = workspace.prepare(3)
    answers = iter([(False, "one = 1\n"), (False, "two = 22\n"), (True, "")])

    def judge(*_: object) -> grade.Verdict:
        is_solved, saved = next(answers)
        if saved:
            work.file.write_text(saved)
        return solved(work, is_solved)

    monkeypatch.setattr(grade, "_judged", judge)
    told: list[grade.Verdict] = []
    watching.watch(work, lambda: None, lambda hops: None, told.append)
    assert [verdict.solved for verdict in told] == [True]
    assert work.file.read_text() == "two = 22\n" and told[0].saved == work.saved


def test_a_file_that_is_gone_is_named(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace, "REPLACE_SECONDS", 0)
    work = workspace.prepare(3)
    work.file.unlink()
    for command in (workspace.current, lambda: grade.check(work)):
        with pytest.raises(ClewError, match=r"The file to edit is gone: .*task_service\.py") as gone:
            command()
        assert gone.value.next_step == "make try-3"
    assert workspace.prepare(3).file.exists()


def test_our_fix_is_shown_and_nothing_else_is_done(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "up", lambda *_: pytest.fail("it starts the stack"))

    def shown(*arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli, ["try", *arguments, "--show", "--json"])
        return dict(json.loads(result.output)) if result.exit_code == 0 else {"error": str(result.exception)}

    assert '+        "correlation_id": correlation_id,' in shown("3")["diff"]
    assert "Nothing is being tried" in shown()["error"]
    assert "the fixes are 1 to 5" in shown("6")["error"]
    assert not own_folder.exists() and not workspace._note().exists()
    work = workspace.prepare(3)
    work.file.write_text("mine")
    assert shown("4")["diff"] != shown()["diff"] == shown("3")["diff"]
    assert workspace.current() == work and work.file.read_text() == "mine"


def test_what_is_printed_to_type_has_the_ports_of_this_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEW_PORTS", "230")
    words.task("routes", "It is lost.", "file.py", "http://127.0.0.1:23060", "make try-2")
    typed = re.findall(r"make [^,;()\n]*", capsys.readouterr().out)
    assert len(typed) == 7 and all("CLEW_PORTS=230" in command for command in typed)


def test_wrong_fixes_change_our_file_and_are_named_after_rules() -> None:
    for one in WRONG:
        ours = ladder.source(ladder.changed_layer(one.number), fixed=True).read_text()
        assert one.text != ours
        assert one.key in {rule.__name__ for rule in diagnoses.rules(one.number)}, one.key
        if ladder.changed_layer(one.number).file.endswith(".py"):
            compile(one.text, one.key, "exec")
    keys = [(one.number, one.key) for one in WRONG]
    assert len(set(keys)) == len(keys)
    assert all(sum(number == one.number for one in WRONG) >= 4 for number in range(1, 6))


def asked(sent: str, task_id: str, answered: str | None = None, through: str = NGINX) -> Asked:
    body = {"task_id": task_id}
    answer = Answer(sent, 0.0, 1.0, 201, sent if answered is None else answered, body)
    return Asked(answer, "calculate_var", through, state="SUCCESS")


def line(hop: str, found: str | None, **fields: Any) -> dict[str, Any]:
    return {"service": "x", "ts": 1.0, "hop": hop, "correlation_id": found, **fields}


@pytest.mark.parametrize(
    ("handed_on", "key"),
    [
        (["A", "B", "gen"], None),
        ([None, None, None], "nothing_handed_on"),
        (["A", None, "gen"], "sometimes"),
        (["A", "A", "gen"], "mixed_up"),
        (["Z1", "Z2", "Z3"], "made_up"),
        (["same", "same", "same"], "constant"),
        (["A", "B", "None"], "none_as_text"),
        ([], "no_line"),
    ],
)
def test_what_a_layer_hands_on_is_told_apart(handed_on: list[str | None], key: str | None) -> None:
    requests = [asked("A", "t1"), asked("B", "t2"), asked("", "t3", answered="gen")]
    before = [line(hop, wanted) for hop in ("nginx", "routes") for wanted in ("A", "B", "gen")]
    seen = Seen(3, requests, [*before, *(line("task-service", found) for found in handed_on)])
    found = diagnoses.diagnose(seen)
    assert (found.key if found else None) == key


def test_an_id_that_was_lost_before_the_layer_is_not_the_layers_fault() -> None:
    seen = Seen(3, [asked("A", "t1")], [line("nginx", "A"), line("routes", None), line("task-service", None)])
    found = diagnoses.diagnose(seen)
    assert found is not None and found.key == "lost_before" and "routes" in found.words


CALLER_ID = "try-called"


@pytest.mark.parametrize(
    ("called", "worker", "key"),
    [
        (Called(CALLER_ID, ["c1", "c2"], [], ["c1", "c2"]), {"c1": CALLER_ID, "c2": None}, None),
        (Called(CALLER_ID, ["c1", "c2"], [], ["c1"]), {"c1": CALLER_ID}, "forgotten"),
        (Called(CALLER_ID, ["c1", None], [], ["c1"]), {"c1": CALLER_ID}, "nothing_returned"),
        (Called(CALLER_ID, ["c1", "c2"], [], ["c1", "c2"]), {"c1": CALLER_ID, "c2": "stranger"}, "invented"),
        (Called(CALLER_ID, ["c1", "c2"], [], ["c1", "c2"]), {"c1": CALLER_ID, "c2": CALLER_ID}, "callers_dict"),
        (Called(CALLER_ID, ["c1", "c2"], [], ["c1", "c2"]), {"c1": None, "c2": None}, "only_in_requests"),
        (Called(CALLER_ID, [], ["TypeError: no"], []), {}, "caller_failed"),
    ],
)
def test_what_another_caller_of_the_layer_gets_is_judged(
    called: Called, worker: dict[str, str | None], key: str | None
) -> None:
    lines = [line(hop, "A", task_id="t1") for hop in ladder.HOPS]
    lines += [line("worker", found, task_id=task) for task, found in worker.items()]
    seen = Seen(4, [asked("A", "t1")], lines, whole=True, called=called)
    found = diagnoses.diagnose(seen)
    assert (found.key if found else None) == key


@pytest.mark.parametrize(("in_ledger", "key"), [("A", None), (None, "not_in_ledger"), ("B", "not_in_ledger")])
def test_the_ledgers_entry_must_have_the_id(in_ledger: str | None, key: str | None) -> None:
    lines = [line(hop, "A", task_id="t1") for hop in ladder.HOPS]
    found = diagnoses.diagnose(Seen(4, [asked("A", "t1")], lines, whole=True, in_ledger=("A", in_ledger)))
    assert (found.key if found else None) == key


def test_a_task_without_a_message_is_refused_though_a_worker_would_send_it_later() -> None:
    lines = [line(hop, "A", task_id="t1") for hop in ladder.HOPS]
    found = diagnoses.diagnose(Seen(4, [asked("A", "t1")], lines, unsent=True))
    assert found is not None and found.key == "no_message"


@pytest.mark.parametrize(
    ("pattern", "fallback", "key"),
    [
        (r"[A-Za-z0-9._-]{1,128}", "", None),
        (r"[^\"]+", "", "too_wide"),
        (r"[A-z0-9._-]{1,128}", "", "too_wide"),
        (r"[A-Za-z0-9._-]{1,128}.*", "", "anything_goes"),
        (r"[A-Za-z0-9._;-]{1,128}", "", "too_wide"),
        (r"[A-Za-z0-9._-]+", "", "no_limit"),
        (r"[a-z0-9-]{1,128}", "", "too_narrow"),
        (r"[A-Za-z0-9._-]{1,64}", "", "too_narrow"),
        (r"[A-Za-z0-9._-]{1,128}", "no-id", "same_fallback"),
    ],
)
def test_an_nginx_that_keeps_what_it_must_not_is_told_by_the_ids_that_were_sent(
    pattern: str, fallback: str, key: str | None
) -> None:
    requests, lines = [], []
    for number, (sent_id, body, through) in enumerate(_crowd(1, whole=False)):
        sent = sent_id or ""
        kept = sent if re.fullmatch(pattern, sent, re.ASCII) else fallback or f"own-{number}"
        requests.append(asked(sent, f"t{number}", answered=kept, through=through))
        lines.append(line("nginx", kept))
        lines.append({**line("", kept, request_id=kept, method="POST", status_code=201), "service": API_SERVERS[0]})
        assert body["task_type"]
    found = diagnoses.diagnose(Seen(1, requests, lines))
    assert (found.key if found else None) == key


def test_a_crowd_meets_one_server_at_the_same_time() -> None:
    for number in (2, 3, 4):
        assert {through for _, _, through in _crowd(number, whole=False)} == {API_SERVERS[0]}
        assert len(_crowd(number, whole=False)) >= 8 <= len(_crowd(number, whole=True))


def test_a_request_for_which_the_stack_was_too_busy_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[str | None]] = []

    def send(_: Stack, requests: list[Any]) -> list[Asked]:
        sent.append([sent_id for sent_id, *_ in requests])
        status = 504 if len(sent) < 3 else 201
        return [
            Asked(Answer(one or "", 0.0, 1.0, 201 if one else status, one or f"own-{len(sent)}", {}), "stress_test")
            for one, *_ in requests
        ]

    monkeypatch.setattr(seen_module, "_send_once", send)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    found = seen_module._send(stacks.try_stack(), [("A", {}, NGINX), (None, {}, NGINX)])
    assert sent == [["A", None], [None], [None]]
    assert [one.answer.status_code for one in found] == [201, 201]
    assert found[1].given_up == ("own-1", "own-2")

    lines = [line("routes", one) for one in ("A", "own-1", "own-3", "stranger")]
    assert Seen(2, found, lines).handed_on("routes") == ["A", "own-3", "stranger"]


def test_a_message_that_a_worker_had_to_send_counts_only_where_nobody_had_tried_to() -> None:
    gone = {"message": "Sent again: its message is gone", "task_id": "t"}
    tried = {"message": "Message not sent, a worker will send it: timed out", "task_id": "t"}
    assert seen_module._sent_again([gone], ["t"])
    assert not seen_module._sent_again([gone], ["another"])
    assert not seen_module._sent_again([tried, gone], ["t"])
