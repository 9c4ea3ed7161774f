"""What commands print: within 80 columns, safe from what a log or a client wrote, plain where it should be."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from clew.cli import main
from clew.cli.report import Reported, report
from clew.core.errors import ClewError
from clew.core.marks import COLOURS
from clew.core.paths import ROOT
from clew.evidence.diff import StageDiff
from clew.show import terminal

EVIL = "\x1b]2;gone\x07\x1b[2J\nnginx-loadbalancer forged"
STAGE_3 = ["kept", "kept", "kept", "missing", "missing"]
STYLES = re.compile(r"\x1b\[[0-9;]*m")
pytestmark = pytest.mark.usefixtures("usual_ports")


@pytest.fixture
def screen(monkeypatch):
    """Put a console in place of standard output and standard error, and return what is printed there."""

    def install(width: int = 80, is_terminal: bool = True) -> io.StringIO:
        file = io.StringIO()
        for name in ("out", "err"):
            console = terminal.Pipe(
                file=file, width=width, force_terminal=is_terminal, highlight=False, soft_wrap=True, no_color=False
            )
            monkeypatch.setattr(terminal, name, console)
        return file

    return install


def plain(file: io.StringIO) -> str:
    return STYLES.sub("", file.getvalue())


def assert_fits(file: io.StringIO, width: int = 80) -> None:
    for line in plain(file).splitlines():
        assert len(line) <= width or " " not in line.strip(), line


@pytest.mark.parametrize(
    ("mix", "verdicts"),
    [
        ("00000", ["replaced", *["missing"] * 4]),
        ("11100", STAGE_3),
        ("11111", ["kept"] * 5),
        ("11000", ["kept", "kept", "unknown", "missing", "missing"]),
        ("11?00", STAGE_3),
    ],
)
def test_a_trace_fits_80_columns(run_of, screen, mix, verdicts):
    file = screen()
    terminal.trail(run_of(mix, verdicts, sent_id="3fbc4f28-1e63-4f3a-9c5c-0c9e2a9b8f11"))

    assert_fits(file)
    assert "queue-service" in plain(file)


def test_a_trace_names_each_hop_with_bead_and_word(run_of, screen):
    file = screen()
    terminal.trail(run_of("11100", STAGE_3))

    text = plain(file)
    assert re.search(r"● task-service  kept +MY-TRACE-123 +3\.3 ms +fastapi-server-2", text)
    assert re.search(r"○ queue-service missing +– +3\.6 ms +fastapi-server-2", text)
    assert text.rstrip().endswith("Next: make stage-4 diff")


def test_an_id_that_was_cut_is_told_in_full(run_of, screen):
    file = screen(width=80)
    run = run_of("00000", ["replaced", *["missing"] * 4])
    terminal.trail(run)
    assert f"replaced {'0f' * 16}" not in plain(file)
    assert plain(file).count(f"The ID of nginx in full: {'0f' * 16}\n") == 1

    for width, verdicts in ((120, ["replaced", *["missing"] * 4]), (80, ["kept"] * 5)):
        file = screen(width=width)
        terminal.trail(run_of("00000", verdicts, sent_id="A-LONG-ID-OF-THE-CLIENT-ITSELF"))
        assert "in full" not in plain(file)


def test_elsewhere_than_in_a_terminal_ids_are_whole_and_sentences_are_one_line(run_of, screen):
    file = screen(is_terminal=False)
    terminal.trail(run_of("00000", ["replaced", *["missing"] * 4]))

    assert "\x1b" not in file.getvalue()
    assert f"replaced {'0f' * 16}" in file.getvalue()
    assert "\nThe trail ends in nginx: stages/00-as-found/nginx/nginx.conf:" in file.getvalue()


def test_no_color_means_no_escape_sequences():
    code = (
        "import clew.show.terminal as t; t.out._force_terminal = True; "
        "t.next_step('make doctor'); t.out.print(t.shown('x', 'bold red'))"
    )
    printed = {}
    for value in ("", "1"):
        environment = {**os.environ, "NO_COLOR": value, "FORCE_COLOR": "1", "TERM": "xterm", "PYTHONPATH": "stack"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30
        )
        printed[value] = done.stdout
    assert "\x1b[" in printed[""]
    assert printed["1"] == "Next: make doctor\nx\n"


@pytest.fixture
def hostile_run(run_of):
    run = run_of("11111", ["kept"] * 5, sent_id=EVIL, answered_id=EVIL, task_id=EVIL, status="FAILURE", error=EVIL)
    run.hops = [replace(hop, service=EVIL) for hop in run.hops]
    run.lines = [{**line, "message": EVIL, "correlation_id": EVIL, "service": EVIL} for line in run.lines]
    return run


def test_nothing_from_outside_reaches_the_terminal_raw(hostile_run, screen):
    message = {part: {EVIL: EVIL} for part in ("properties", "headers", "args", "kwargs", "embed")}
    message |= {"queue": EVIL, "task_id": EVIL, "sent_id": EVIL, "id_at": EVIL}
    driver = {"driver": EVIL, "why": EVIL, "findings": [{"name": EVIL, "found": EVIL, "cost": EVIL}]}
    printers = [
        lambda: terminal.trail(hostile_run),
        lambda: terminal.log_lines(hostile_run.lines),
        lambda: terminal.message(message),
        lambda: terminal.stage_diff(StageDiff(3, [f"+{EVIL}"], [f"-{EVIL}"], hostile_run, hostile_run)),
        lambda: terminal.doctor({**driver, "up": {EVIL: EVIL}, "ladder": [EVIL]}),
        lambda: terminal.say(EVIL),
        lambda: terminal.error(ClewError(EVIL, EVIL)),
        lambda: terminal.next_step(EVIL),
        lambda: terminal.out.print(EVIL, markup=False),
    ]
    for printer in printers:
        file = screen()
        printer()
        assert "\x1b" not in plain(file)
        assert "\x07" not in file.getvalue()
        assert "\\x1b]2;gone\\x07" in plain(file).replace("\n", "") or "u001b" in file.getvalue()


def test_a_log_line_stays_one_line(hostile_run, screen):
    file = screen(is_terminal=False)
    terminal.log_lines(hostile_run.lines)

    assert len(file.getvalue().splitlines()) == 1


def test_in_a_terminal_a_long_log_line_goes_on_below_its_message(screen):
    file = screen(width=80)
    ids = {"correlation_id": "0f" * 16, "task_id": "64cecbac-6e28-4001-b1a7-0123456789ab"}
    line = {"ts": 1000.5, "service": "fastapi-server-1", "message": "Request completed", "hop": "routes", **ids}
    terminal.log_lines([line, {"ts": 0, "service": "flower", "message": ""}])

    first, *further, last = plain(file).splitlines()
    assert first[13:].split() == ["fastapi-server-1", "Request", "completed", "hop=routes"]
    assert further == [f"{' ' * 32}correlation_id={'0f' * 16}", f"{' ' * 32}task_id={ids['task_id']}"]
    assert last.split() == ["flower"]
    narrow = screen(width=60)
    terminal.log_lines([line])
    assert len(plain(narrow).splitlines()) == 1  # the terminal itself wraps it


def test_log_lines_have_time_service_message_and_fields(screen):
    file = screen(is_terminal=False)
    terminal.log_lines([{"ts": 0, "service": "redis-broker", "message": "ready", "task_id": "t-1", "queue": None}])

    assert file.getvalue().strip() == "redis-broker       ready  task_id=t-1"


def test_a_matrix_fits_80_columns_and_says_what_was_predicted(run_of, screen):
    file = screen()
    right = run_of("11100", STAGE_3)
    wrong = run_of("10111", ["replaced", "kept", "kept", "kept", "kept"])
    terminal.matrix([right, wrong], expectation=True)

    assert_fits(file)
    rows = plain(file)
    assert re.search(r"03 +● kept .*○ missing +yes", rows)
    assert re.search(r"10111 +◆ replaced", rows)
    assert "no: " in rows


def test_a_matrix_without_expectation_has_times(run_of, screen):
    file = screen()
    terminal.matrix([run_of("11100", STAGE_3)])

    assert re.search(r"≈1 ms +3\.1 ms +3\.3 ms +3\.6 ms +9\.8 ms", plain(file))
    assert_fits(file)


def test_status_and_doctor_fit_80_columns(screen):
    file = screen()
    services = {"nginx-loadbalancer": {"ready": True, "state": "running", "port": 8030}}
    services["celery-worker-1"] = {"ready": False, "state": "stopped", "port": None}
    terminal.status({"services": services})
    cost = "images have to be built again, which takes about a minute and a half on a machine like this one"
    finding = {"name": "Docker's Compose plugin", "found": "not there", "cost": cost}
    why = "Docker answers, and the image of the nine services is built, so nothing else is needed here."
    up = {f"Stage {number}": "docker" for number in range(6)}
    terminal.doctor({"driver": "docker", "why": why, "findings": [finding], "up": up, "ladder": []})

    assert_fits(file)
    assert re.search(r"● nginx-loadbalancer +ready +127\.0\.0\.1:8030", plain(file))
    assert re.search(r"○ celery-worker-1 +stopped *$", plain(file), re.MULTILINE)


def test_a_message_is_shown_whole_and_judged(screen):
    file = screen()
    found = {part: {} for part in ("properties", "headers", "args", "embed")}
    found |= {"queue": "high", "task_id": "t-1", "sent_id": "MINE", "id_at": "kwargs.correlation_id"}
    terminal.message({**found, "kwargs": {"correlation_id": "MINE"}})

    assert '"correlation_id": "MINE"' in plain(file)
    assert "● The ID is in the message, at kwargs.correlation_id." in plain(file)
    assert_fits(file)


def test_a_diff_is_side_by_side_only_where_there_is_room(run_of, screen):
    run = run_of("11100", STAGE_3)
    diff = StageDiff(3, ["-old", "+new"], ["-log before", "+log after"], run, run)
    heads = "What stage 3 changes", "What that changes in the logs"
    for width, beside in ((80, False), (220, True)):
        file = screen(width)
        terminal.stage_diff(diff)
        lines = plain(file).splitlines()
        assert any(all(head in line for head in heads) for line in lines) is beside
        assert lines[-1] == "Next: make stage-3 up trace"


def test_the_saved_picture_is_a_self_contained_svg(run_of, tmp_path):
    terminal.save_picture(run_of("11100", STAGE_3, sent_id="A<&\x1bB"), tmp_path / "trail.svg")

    text = (tmp_path / "trail.svg").read_text()
    ElementTree.fromstring(text)  # noqa: S314 - our own
    assert "queue-service" in text
    assert "@font-face" not in text
    assert COLOURS["missing"].lower() in text.lower()


def test_a_problem_is_in_the_one_json_document_that_is_printed(capsys):
    problem = ClewError("1 of 9 is not ready: flower.", "make stage-3 up")
    with pytest.raises(Reported):
        report({"stage": 3}, True, lambda _: None, problem)
    assert json.loads(capsys.readouterr().out) == {
        "stage": 3,
        "problem": "1 of 9 is not ready: flower.",
        "next": "make stage-3 up",
    }
    with pytest.raises(ClewError) as raised:
        report({"stage": 3}, False, lambda value: print(value["stage"]), problem)
    assert raised.value is problem
    assert capsys.readouterr().out == "3\n"


@pytest.mark.parametrize("reported", [True, False])
def test_an_error_is_one_json_document_and_on_standard_error(monkeypatch, capsys, reported):
    def fails(**_):
        if reported:
            report({"stage": 3}, True, lambda _: None, ClewError("Broken.", "make doctor"))
        raise ClewError("Broken.", "make doctor")

    monkeypatch.setattr(sys, "argv", ["clew", "status", "3", "--json"])
    monkeypatch.setattr(sys.modules["clew.cli.main"], "cli", fails)
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 1
    wanted = {"stage": 3, "problem": "Broken."} if reported else {"error": "Broken."}
    assert json.loads(printed.out) == {**wanted, "next": "make doctor"}


@pytest.mark.parametrize(
    ("path", "error", "next_step"),
    [
        (ROOT / "stages/03-task-service/nginx/nginx.conf", FileNotFoundError,
         "git checkout stages/03-task-service/nginx/nginx.conf"),
        (ROOT / "stages/03-task-service/nginx/nginx.conf", PermissionError, "make doctor"),
        (ROOT / "stack/compose.yaml", FileNotFoundError, "make doctor"),
        (None, OSError, "make doctor"),
    ],
)  # fmt: skip
def test_a_stage_file_that_is_missing_can_be_brought_back(monkeypatch, capsys, path, error, next_step):
    def fails(**_):
        raise error(5, "It failed", path and str(path))

    monkeypatch.setattr(sys, "argv", ["clew", "up", "3"])
    monkeypatch.setattr(sys.modules["clew.cli.main"], "cli", fails)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    where = f": {path}" if path else ""
    assert " ".join(capsys.readouterr().err.split()) == f"✗ It failed{where}. Next: {next_step}"
