"""The ladder: two ends, everything between them derived."""

from __future__ import annotations

import importlib
import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import STAGES, shown
from clew.ladder import table
from clew.stacks.stack import stage_stack


def files(number: int) -> dict[str, str]:
    folder = ladder.stage(number).folder
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_stages_are_what_the_two_ends_make_of_them() -> None:
    assert ladder.disagreements() == []


@pytest.mark.parametrize("number", range(1, 6))
def test_neighbours_differ_in_one_layer_file_by_at_most_40_lines(number: int) -> None:
    before, after = files(number - 1), files(number)

    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed - {".env", "README.md"} == {ladder.changed_layer(number).file}
    lines = [line for line in ladder.source_diff(number)[2:] if line[0] in "+-"]
    assert 0 < len(lines) <= 40


def test_a_layer_file_is_short_enough_to_be_read() -> None:
    for stage, layer in itertools.product(ladder.STAGE_LIST, ladder.LAYERS):
        assert len((stage.folder / layer.file).read_text().splitlines()) <= 80


def test_a_change_in_the_middle_is_found_and_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(STAGES, tmp_path / "stages")
    monkeypatch.setattr(table, "STAGES", tmp_path / "stages")
    assert ladder.disagreements() == []

    (ladder.stage(3).folder / "celery-worker/tasks.py").write_text("# fixed here only\n")
    (ladder.stage(4).folder / "notes.txt").touch()
    (ladder.stage(1).folder / "README.md").unlink()

    assert ladder.disagreements() == [
        "stages/01-nginx/README.md is missing",
        "stages/03-task-service/celery-worker/tasks.py differs from what is generated from 00 and 05",
        "stages/04-queue-service/notes.txt does not belong there",
    ]
    with pytest.raises(ClewError, match=r"overwritten: stages/03-task-service/celery-worker/tasks\.py") as refused:
        ladder.rewrite()
    assert refused.value.next_step == "make ladder FORCE=1"
    assert (ladder.stage(3).folder / "celery-worker/tasks.py").read_text() == "# fixed here only\n"

    untouched = (ladder.stage(3).folder / "nginx/nginx.conf").stat().st_ctime_ns
    ladder.rewrite(force=True)
    assert ladder.disagreements() == ["stages/04-queue-service/notes.txt does not belong there"]
    assert (ladder.stage(3).folder / "nginx/nginx.conf").stat().st_ctime_ns == untouched


def test_a_change_of_an_end_is_no_edit_of_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(STAGES, tmp_path / "stages")
    monkeypatch.setattr(table, "STAGES", tmp_path / "stages")
    monkeypatch.setattr(importlib.import_module("clew.ladder.readme"), "WRITTEN", tmp_path / "ladder.json")
    ladder.rewrite()
    conf = ladder.FIXED.folder / "nginx/nginx.conf"
    conf.write_text("# changed\n" + conf.read_text())

    ladder.rewrite()

    assert (ladder.stage(2).folder / "nginx/nginx.conf").read_bytes() == conf.read_bytes()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stages in a Git repository of their own, all committed."""
    shutil.copytree(STAGES, tmp_path / "stages")
    monkeypatch.setattr(table, "STAGES", tmp_path / "stages")
    monkeypatch.setattr(importlib.import_module("clew.ladder.readme"), "WRITTEN", tmp_path / "not/there/ladder.json")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=A test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, timeout=30, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "All")


@pytest.mark.parametrize("kept_in", ["a commit", "nothing", "the index", "a file that Git does not know"])
def test_only_an_edit_that_git_can_bring_back_is_overwritten(repository: Path, kept_in: str) -> None:
    tasks = ladder.stage(3).folder / "celery-worker/tasks.py"
    routes = ladder.stage(2).folder / "fastapi-app/api/routes.py"
    generated = tasks.read_bytes()
    for path in (tasks, routes):
        path.write_text("# edited\n")
    if kept_in == "a commit":
        commit(repository)
    elif kept_in == "the index":
        git(repository, "add", "--all")
    elif kept_in != "nothing":
        git(repository, "rm", "--quiet", "--cached", str(tasks), str(routes))

    if kept_in == "a commit":
        ladder.rewrite()
        assert tasks.read_bytes() == generated
        assert ladder.disagreements() == []
    else:
        with pytest.raises(ClewError) as refused:
            ladder.rewrite()
        edited = "stages/02-routes/fastapi-app/api/routes.py, stages/03-task-service/celery-worker/tasks.py"
        assert refused.value.message == f"Edited by hand, and would be overwritten: {edited}."
        assert tasks.read_text() == "# edited\n"


def test_a_readme_that_is_right_is_not_touched_and_another_is_rewritten(repository: Path) -> None:
    right, wrong = (ladder.stage(number).folder / "README.md" for number in (1, 2))
    before = right.stat().st_ctime_ns
    wrong.write_text("# other\n")

    ladder.rewrite()
    ladder.rewrite()  # again: its notes are there already

    assert wrong.read_text() == ladder.readme(2)
    assert right.stat().st_ctime_ns == before


def test_an_end_without_one_of_its_files_is_told_for_each_stage_that_needs_it(repository: Path) -> None:
    missing = ladder.AS_FOUND.folder / "fastapi-app/api/routes.py"
    missing.unlink()
    (ladder.stage(5).folder / "notes.txt").touch()

    found = ladder.disagreements()

    assert found[:2] == [f"{missing} is missing"] * 2  # stages 0 and 1 have the routes as found
    assert found[-1] == "stages/05-worker/notes.txt does not belong there"


def test_the_edited_files_of_a_stage_are_named(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = ladder.stage(3)
    assert ladder.edited_files(stage) == []

    (stage.folder / ladder.LAYERS[0].file).write_bytes(ladder.source(ladder.LAYERS[0], fixed=False).read_bytes())
    (stage.folder / ladder.LAYERS[4].file).write_text("# edited\n")

    assert ladder.edited_files(stage) == [shown(stage.folder / ladder.LAYERS[number].file) for number in (0, 4)]


def test_a_mix_calls_itself_9_unless_told_otherwise(tmp_path: Path) -> None:
    ladder.write_mix("10100", tmp_path / "nine")
    ladder.write_mix("10100", tmp_path / "four", 4)

    assert (tmp_path / "nine/.env").read_text() == "STAGE=9\n"
    assert (tmp_path / "four/.env").read_text() == "STAGE=4\n"
    assert ladder.mix_of(tmp_path / "nine") == "10100"


def test_the_table_follows_the_rule() -> None:
    for stage in ladder.STAGE_LIST:
        assert ladder.expected(stage.mix) == stage.verdicts


@pytest.mark.parametrize(
    ("mix", "verdicts"),
    [
        ("01111", ["replaced"] * 5),
        ("10111", ["kept", "missing", "missing", "missing", "missing"]),
        ("01101", ["replaced", "replaced", "replaced", "missing", "missing"]),
        ("11110", ["kept", "kept", "kept", "kept", "missing"]),
    ],
)
def test_the_rule_by_example(mix: str, verdicts: list[str]) -> None:
    assert list(ladder.expected(mix)) == verdicts


def test_the_order_of_mixes_switches_one_layer_at_a_time_and_the_worker_once() -> None:
    mixes = ladder.all_mixes()
    switches = [[place for place in range(5) if old[place] != new[place]] for old, new in itertools.pairwise(mixes)]

    assert sorted(mixes) == ["".join(bits) for bits in itertools.product("01", repeat=5)]
    assert all(len(switch) == 1 for switch in switches)
    assert [sum(switch == [place] for switch in switches) for place in range(5)] == [16, 8, 4, 2, 1]


@pytest.mark.parametrize("mix", ["", "1111", "111111", "1112x", "1111X"])
@pytest.mark.parametrize("edited", [True, False])
def test_what_is_no_mix_is_refused(mix: str, edited: bool) -> None:
    with pytest.raises(ClewError) as refused:
        ladder.checked_mix(mix, edited)

    assert refused.value.message == f"{mix!r} is not a mix: give five characters of 0 and 1, nginx first."
    assert refused.value.next_step == "make lattice"


def test_an_edited_layer_is_part_of_a_mix_only_where_that_is_asked_for() -> None:
    assert ladder.checked_mix("11?00", edited=True) == "11?00"
    assert ladder.checked_mix("11000") == "11000"
    with pytest.raises(ClewError):
        ladder.checked_mix("11?00")


@pytest.mark.parametrize("number", [-1, 6, "x", "03", "²", ""])
def test_a_stage_that_does_not_exist_is_refused(number: int | str) -> None:
    with pytest.raises(ClewError) as refused:
        ladder.stage(number)

    assert refused.value.message == f"There is no stage {number}; the stages are 0 to 5."
    assert refused.value.next_step == "make stage-0 up trace"


def test_a_readme_links_the_fixed_line() -> None:
    for number in range(1, 6):
        layer = ladder.changed_layer(number)
        line = ladder.changed_lines(layer, fixed=True)[0]
        assert f"({layer.file}#L{line})" in (ladder.stage(number).folder / "README.md").read_text()
        fixed = (ladder.stage(number).folder / layer.file).read_text().splitlines()
        assert f"+{fixed[line - 1]}" in ladder.source_diff(number)
        assert fixed[line - 1].strip()


def test_a_stack_tells_its_mix_from_its_files() -> None:
    assert [stage_stack(number).mix for number in range(6)] == ["00000", "10000", "11000", "11100", "11110", "11111"]


def test_the_python_pattern_of_usable_ids_is_nginxs() -> None:
    from taskqueue.contract import VALID_ID

    assert f'"~^{VALID_ID.pattern}$"' in (ladder.FIXED.folder / "nginx/nginx.conf").read_text()


def test_a_layer_s_cause_is_a_line_that_its_fix_changes_or_begins(tmp_path: Path) -> None:
    wanted = ("proxy_set_header X-Request-ID $request_id", "arguments = {", "**_: Any", "**_: Any", "**_")
    for layer, text in zip(ladder.LAYERS, wanted, strict=True):
        path = ladder.source(layer, fixed=False)
        assert text in path.read_text().splitlines()[ladder.cause_line(path, layer) - 1]


def test_the_cause_is_the_one_above_the_hand_off_that_was_logged(tmp_path: Path) -> None:
    worker = ladder.LAYERS[-1]
    path = tmp_path / "tasks.py"
    path.write_text("def one(\n    **_\n):\n    log()\ndef two(\n    **_\n):\n    log()\n")

    assert ladder.cause_line(path, worker, hand_off=4) == 2
    assert ladder.cause_line(path, worker, hand_off=8) == 6
    assert ladder.cause_line(path, worker, hand_off=6) == 6
    assert ladder.cause_line(path, worker, hand_off=1) == 2
    path.write_text("def one():\n    log()\n")
    assert ladder.cause_line(path, worker, hand_off=2) == 2
    assert ladder.cause_line(path, worker) == 1


def test_changed_lines_are_those_of_the_diff_in_both_directions() -> None:
    for number in range(1, 6):
        layer = ladder.changed_layer(number)
        diff = [line for line in ladder.source_diff(number) if not line.startswith(("---", "+++"))]
        for fixed, mark in ((False, "-"), (True, "+")):
            text = ladder.source(layer, fixed).read_text().splitlines()
            changed = [text[line - 1] for line in ladder.changed_lines(layer, fixed)]
            assert changed == [line[1:] for line in diff if line[:1] == mark and line[1:].strip()]
