"""Traces, checks and their commands on a stage that is up without any service."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from fake_stack import TASK_ID, FakeDriver

from clew import ladder
from clew.cli import cli
from clew.cli import stage as commands
from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import client, journey, trace
from clew.evidence.trace import Hop, Run, check, find_hops, where_it_ends
from clew.stacks import freshness
from clew.stacks.services import checked_service
from clew.stacks.stack import stage_stack

ANSWER = client.Answer("MINE", 1000.0, 20.0, 201, "", {"task_id": "task-1"})
END = 1000.0 + 20.0 / 1000 + trace.CLOCK_SLACK  # the latest that a line of the request's server can have
AFTER = END + 1e-5


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """Stage 3, up and current."""
    driver = FakeDriver("11100")
    transport = httpx.MockTransport(driver.answer)
    monkeypatch.setattr(client, "_client", lambda *_: httpx.Client(transport=transport, base_url="http://fake"))
    monkeypatch.setattr(trace, "driver_of", lambda stack: driver)
    monkeypatch.setattr(commands, "driver_of", lambda stack: driver)
    monkeypatch.setattr(freshness, "require_current", lambda *_: None)
    monkeypatch.setattr(freshness, "ran_folder", lambda stack: stack.folder)
    return driver


def test_a_trace_on_the_fake_stage(fake: FakeDriver) -> None:
    run = trace.trace(stage_stack(3), "MINE")

    assert run.verdicts == ("kept", "kept", "kept", "missing", "missing")
    assert run.as_predicted
    assert run.ends_in is not None
    assert run.ends_in["hop"] == "queue-service"
    assert run.ends_in["file"] == "stages/03-task-service/fastapi-app/services/queue_service.py"
    assert run.edited == []
    assert Run.from_json(run.to_json()) == run


@pytest.mark.parametrize(("task_type", "told"), [(None, "calculate_var"), ("stress_test", "stress_test")])
def test_a_trace_tells_what_was_sent_and_what_came_back(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch, task_type: str | None, told: str
) -> None:
    stack, body, checked = stage_stack(3), {"data": {"a": 1}, **({"task_type": task_type} if task_type else {})}, []
    fake.state = {"status": "FAILURE", "result": {"b": 2}, "error": "It failed."}
    monkeypatch.setattr(freshness, "require_current", lambda *what: checked.append(what))
    answers, send = [], client.send_task
    monkeypatch.setattr(client, "send_task", lambda *what: answers.append(send(*what)) or answers[-1])

    run = trace.trace(stack, "MINE", body)

    (answer,) = answers
    assert checked == [(stack, fake)]
    assert fake.requests[0].headers["X-Request-ID"] == "MINE"
    assert json.loads(fake.requests[0].content) == body
    assert fake.requests[1].url.path == f"/api/v1/tasks/{TASK_ID}"
    assert set(fake.asked_since) == {answer.sent_at - trace.CLOCK_SLACK}
    assert (run.stage, run.mix, run.folder, run.driver) == (3, "11100", "stages/03-task-service", "fake")
    assert (run.sent_id, run.answered_id, run.task_id, run.task_type) == ("MINE", "MINE", TASK_ID, told)
    assert (run.sent_at, run.answered_ms) == (answer.sent_at, answer.ms)
    assert (run.status, run.result, run.error) == ("FAILURE", {"b": 2}, "It failed.")
    assert run.task_ms == 18.8


def test_without_a_body_the_sample_request_is_sent(fake: FakeDriver) -> None:
    trace.trace(stage_stack(3), driver=fake)

    assert json.loads(fake.requests[0].content) == client.request_body()


def test_a_trace_waits_for_lines_that_come_late(fake: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[str] = []

    def logs(since: float | None = None) -> dict[str, list[str]]:
        texts = {**fake.texts, "celery-worker-1": list(late)}
        late[:] = fake.texts["celery-worker-1"]
        return texts

    monkeypatch.setattr(fake, "logs", logs)

    assert trace.trace(stage_stack(3), "MINE").hops[4].service == "celery-worker-1"


@pytest.mark.parametrize("left_out", ['"hop": "routes"', '"duration_ms"', '"hop": "worker"'])
@pytest.mark.parametrize("noise", ["", '{"ts": 4e9, "message": "VaR COMPLETE", "task_id": "other", "duration_ms": 1}'])
def test_a_trace_without_all_its_lines_is_an_error(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch, left_out: str, noise: str
) -> None:
    monkeypatch.setattr(trace, "LINES_SECONDS", 0.05)

    def logs(since: float | None = None) -> dict[str, list[str]]:
        kept = {name: [text for text in texts if left_out not in text] for name, texts in fake.texts.items()}
        return {**kept, "celery-worker-2": [noise]}

    monkeypatch.setattr(fake, "logs", logs)

    with pytest.raises(ClewError) as failed:
        trace.trace(stage_stack(3), "MINE")

    assert failed.value.message == "Timed out after 0 s waiting for the request's log lines."
    assert failed.value.next_step == stage_stack(3).command(f"logs ID={TASK_ID}")


def test_the_commands_say_so(fake: FakeDriver) -> None:
    found = json.loads(CliRunner().invoke(cli, ["trace", "3", "--id", "MINE", "--json"]).stdout)
    assert [hop["verdict"] for hop in found["hops"]] == ["kept", "kept", "kept", "missing", "missing"]

    assert CliRunner().invoke(cli, ["check", "3"]).exit_code == 0
    lines = json.loads(CliRunner().invoke(cli, ["logs", "3", "--id", TASK_ID, "--json"]).stdout)
    assert {line["task_id"] for line in lines} == {TASK_ID}


def test_a_part_of_an_id_is_not_found_and_the_ids_that_begin_with_it_are_named(fake: FakeDriver) -> None:
    CliRunner().invoke(cli, ["trace", "3", "--id", "MINE"])
    part = TASK_ID[:8]
    found = CliRunner().invoke(cli, ["logs", "3", "--id", part])
    assert f"No line has exactly this ID. IDs that begin with it: {TASK_ID}." in found.stderr
    assert f"Next: {stage_stack(3).command(f'logs ID={TASK_ID}')}" in found.stderr
    none = CliRunner().invoke(cli, ["logs", "3", "--id", "NOBODY"])
    assert "no ID begins with it. A layer that replaces the ID logs its own." in none.stderr


def test_check_fails_when_a_layer_does_what_its_stage_does_not(fake: FakeDriver) -> None:
    fake.mix = "11110"

    failed = CliRunner().invoke(cli, ["check", "3"])

    assert isinstance(failed.exception, ClewError)
    assert "queue-service is kept, expected missing" in failed.exception.message


def test_send_and_status_say_which_files_changed_and_send_sends_all_the_same(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outdated(*_: object) -> None:
        raise freshness.Outdated("Stage 3 does not run the files on disk: x.py changed.", "make stage-3 up")

    monkeypatch.setattr(freshness, "require_current", outdated)
    sent = CliRunner().invoke(cli, ["send", "3", "--id", "MINE"])
    assert sent.exit_code == 0
    assert " ".join(sent.stderr.split()) == (
        "Stage 3 does not run the files on disk: x.py changed. "
        f"{stage_stack(3).command('up')} restarts the services concerned."
    )
    assert "sent     X-Request-ID: MINE" in sent.stdout

    monkeypatch.setattr(commands.ready, "not_ready", lambda stack: [])
    monkeypatch.setattr(freshness, "changed_since_start", outdated)
    shown = CliRunner().invoke(cli, ["status", "3"])
    assert isinstance(shown.exception, ClewError)
    assert shown.exception.message == "Stage 3 does not run the files on disk: x.py changed."
    assert shown.stdout.count("ready") == 9


def test_control_characters_in_logs_are_shown_escaped(fake: FakeDriver) -> None:
    fake.texts["flower"].append("\x1b]2;title\x07")

    assert r"\x1b]2;title\x07" in CliRunner().invoke(cli, ["logs", "3"]).stdout


def test_an_unknown_service_leads_to_the_status_of_the_same_stage(fake: FakeDriver) -> None:
    failed = CliRunner().invoke(cli, ["logs", "5", "--service", "nope"])

    assert isinstance(failed.exception, ClewError)
    assert failed.exception.next_step.startswith("make stage-5 status")


def a_run(stage: int | None, mix: str, verdicts: str) -> Run:
    words = {"k": "kept", "r": "replaced", "m": "missing", "u": "unknown"}
    hops = [Hop(hop, words[letter]) for hop, letter in zip(ladder.HOPS, verdicts, strict=True)]
    return Run(stage, mix, "f", "local", "MINE", "MINE", "task-1", "SUCCESS", 1000.0, 20.0, None, None, hops, [])


def test_a_mix_with_an_edited_layer_can_be_checked_and_saved() -> None:
    run = a_run(None, "11?00", "kkkmm")

    assert run.expected == ("kept", "kept", "unknown", "missing", "missing")
    assert run.as_predicted
    assert not a_run(None, "11?00", "kmkmm").as_predicted
    assert run.to_json()["edited"] == ["f/fastapi-app/services/task_service.py"]
    assert Run.from_json(run.to_json()) == run


def test_check_names_the_edited_files() -> None:
    with pytest.raises(ClewError) as failed:
        check(a_run(3, "0?110", "kkkkm"))

    files = [f"f/{ladder.LAYERS[number].file}" for number in (0, 1, 3)]
    edited = f"{files[0]}, {files[1]} and {files[2]} are edited"
    assert failed.value.message == f"Differs from the truth table: queue-service is kept, expected missing. {edited}."
    assert failed.value.next_step == f"git checkout {' '.join(files)}"
    with pytest.raises(ClewError, match=r"queue_service\.py is edited\.\n"):
        check(a_run(3, "11110", "kkkkm"))


def test_check_says_when_lines_cannot_be_told_apart() -> None:
    run = a_run(3, "11100", "kkmkm")
    run.hops[0].candidates = 2

    with pytest.raises(ClewError) as failed:
        check(run)

    wrong = "task-service is missing, expected kept; queue-service is kept, expected missing"
    told = "Other requests ran at the same time, so some lines cannot be told apart"
    assert failed.value.message == f"Differs from the truth table: {wrong}. {told}."
    assert failed.value.next_step == stage_stack(3).command("trace")


def test_of_an_edited_layer_nothing_is_expected() -> None:
    check(a_run(None, "11?00", "kkumm"))
    with pytest.raises(ClewError, match=r"truth table: worker is kept, expected missing\. "):
        check(a_run(None, "11?00", "kkkmk"))


def test_what_to_type_for_a_run() -> None:
    assert trace.command(a_run(3, "11100", "kkkmm"), "diff", 1) == stage_stack(4).command("diff")
    assert trace.command(a_run(3, "11100", "kkkmm"), "trace") == stage_stack(3).command("trace")
    assert trace.command(a_run(None, "11101", "kkkmm"), "trace") == "make lattice"


def test_the_trail_ends_in_the_file_that_ran(tmp_path: Path) -> None:
    layer = ladder.LAYERS[3]
    ran = tmp_path / layer.file
    ran.parent.mkdir(parents=True)
    ran.write_text("\n" * 6 + layer.anchor + "\n")

    hops = a_run(3, "11100", "kkkmm").hops

    assert where_it_ends(hops, tmp_path, "stages/x") == {"hop": layer.hop, "file": f"stages/x/{layer.file}", "line": 7}
    assert where_it_ends(a_run(5, "11111", "kkkkk").hops, tmp_path, "stages/x") is None


@pytest.mark.parametrize(
    ("at", "line"),
    [("services/x.py:5", 3), ("x.py:12", 9), ("a:2:x.py:12", 9), (None, 3), ("", 3), ("x.py", 3), ("x.py:²", 3)],
)
def test_the_trail_ends_above_the_hand_off_that_was_logged(tmp_path: Path, at: str | None, line: int) -> None:
    layer = ladder.LAYERS[3]
    ran = tmp_path / layer.file
    ran.parent.mkdir(parents=True)
    ran.write_text("\n".join(layer.anchor if number in (3, 9) else "" for number in range(1, 15)))
    hops = a_run(3, "11100", "kkkmm").hops
    hops[3].at = at

    end = where_it_ends(hops, tmp_path, "stages/x")

    assert end is not None
    assert end["line"] == line


def test_a_truncated_id_is_not_kept() -> None:
    assert trace._verdict("MIN", "MINE") == "replaced"
    assert trace._verdict("MINE-2", "MINE") == "replaced"


def line(service: str, ts: float, **fields: object) -> Line:
    return {"ts": ts, "service": service, "message": "m", **fields}


HOP_LINES = [
    line("nginx-loadbalancer", 1000.019, hop="nginx", correlation_id="X", method="POST", request_time=0.018),
    line("fastapi-server-1", 1000.003, hop="routes", correlation_id=None),
    line("fastapi-server-1", 1000.004, hop="task-service", correlation_id=None),
    line("fastapi-server-1", 1000.005, hop="queue-service", correlation_id=None, task_id="task-1"),
    line("celery-worker-1", 1000.030, hop="worker", correlation_id=None, task_id="task-1"),
]


def own(further: list[Line]) -> list[Line]:
    return [found for found in find_hops(HOP_LINES + further, ANSWER)[1] if found in further]


@pytest.mark.parametrize(
    "stranger",
    [
        line("fastapi-server-2", 1000.004),
        line("fastapi-server-1", 1000.5),
        line("fastapi-server-1", 1000.004, method="GET"),
        line("celery-worker-1", 1000.031, task_id="task-2"),
        line("fastapi-server-2", 1000.5, request_id="MINE"),
        line("fastapi-server-1", AFTER),
        line("fastapi-server-2", AFTER, request_id="MINE"),
        line("nginx-loadbalancer", 1000.004),
    ],
)
def test_a_stranger_s_line_is_not_the_request_s(stranger: Line) -> None:
    assert own([stranger]) == []


@pytest.mark.parametrize(
    "of_request",
    [
        line("fastapi-server-1", 1000.004),
        line("celery-worker-1", 1000.05, task_id="task-1"),
        line("fastapi-server-2", 1000.004, request_id="MINE"),
        line("fastapi-server-1", END),
        line("fastapi-server-2", END, request_id="MINE"),
    ],
)
def test_a_line_of_the_request_is_its_own(of_request: Line) -> None:
    assert own([of_request]) == [of_request]


def test_in_crowded_logs_the_time_tells_nothing() -> None:
    other = line("nginx-loadbalancer", 1000.018, hop="nginx", correlation_id="Y", method="POST", request_time=0.01)

    assert own([other, line("fastapi-server-1", 1000.004)]) == []


def test_of_twelve_requests_at_once_the_trace_says_that_it_cannot_know() -> None:
    lines = [{**one, "task_id": f"task-{n}"} if "task_id" in one else dict(one) for n in range(12) for one in HOP_LINES]

    hops, _ = find_hops(lines, ANSWER)

    assert [hop.candidates for hop in hops] == [12, 12, 12, 1, 1]
    assert all(hop.id is None and hop.service is None and hop.ms is None for hop in hops[:3])
    assert [hop.verdict for hop in hops] == ["replaced", *["missing"] * 4]


def test_a_lattice_with_one_wrong_run_fails_and_names_it() -> None:
    journey.require_predicted([a_run(None, "11100", "kkkmm")], "lattice")
    with pytest.raises(ClewError, match="11100: kept, kept, kept, kept, missing"):
        journey.require_predicted([a_run(None, "11100", "kkkmm"), a_run(None, "11100", "kkkkm")], "lattice")


def test_a_service_is_found_by_the_start_of_its_name_if_only_one_matches() -> None:
    assert checked_service("redis") == "redis-broker"
    for name in ("fastapi", "celery-worker", "nope"):
        with pytest.raises(ClewError, match="no service"):
            checked_service(name)
