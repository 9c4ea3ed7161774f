"""A log is read across its rotation, whole or from a point in time on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clew.stacks.drivers.local import logfiles


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of 300 lines, rotated in the middle of one, read in chunks that are shorter than a file."""
    monkeypatch.setattr(logfiles, "CHUNK", 1000)
    content = "".join(f"{json.dumps({'ts': 1000.0 + number, 'message': 'x' * 20})}\n" for number in range(300))
    (tmp_path / "service.log.1").write_text(content[:7777])
    (tmp_path / "service.log").write_text(content[7777:])
    return tmp_path / "service.log"


def seconds(lines: list[str]) -> list[float]:
    return [json.loads(line)["ts"] - 1000 for line in lines if line]


def test_all_lines_are_read_in_order(log: Path) -> None:
    assert seconds(logfiles.lines(log)) == list(range(300))


@pytest.mark.parametrize("since", [0, 1, 100, 150, 160, 299, 400])
def test_no_line_since_a_point_in_time_is_missing(log: Path, since: int) -> None:
    found = seconds(logfiles.lines(log, 1000.0 + since))

    assert found == list(range(300))[-len(found) :] if found else since >= 299
    assert found[:1] <= [since]
    assert len(found) < max(0, 300 - since) + 60  # older lines are left out, except for those of about one chunk


def test_lines_that_are_not_json_and_broken_bytes_are_read(tmp_path: Path) -> None:
    (tmp_path / "s.log").write_bytes(b"Traceback\n\xff\n")

    assert logfiles.lines(tmp_path / "s.log") == ["Traceback", "\ufffd", ""]
    assert logfiles.lines(tmp_path / "s.log", 5.0) == ["Traceback", "\ufffd", ""]


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert logfiles.lines(tmp_path / "none.log") == []


def test_during_a_rotation_no_line_is_read_twice(log: Path) -> None:
    log.with_name("service.log.1").unlink()
    log.with_name("service.log.1").hardlink_to(log)

    assert logfiles.lines(log) == log.read_text().split("\n")


def test_between_the_two_steps_of_a_rotation_the_older_file_is_read(log: Path) -> None:
    log.unlink()

    assert len(logfiles.lines(log)) > 100
