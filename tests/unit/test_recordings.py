"""The recordings: whole, small, and matching the truth table; a damaged one is told loudly."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path

import pytest

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.lab import recordings, strict


@pytest.mark.parametrize("kind", recordings.KINDS)
def test_says_when_and_with_what_it_was_made(kind: str) -> None:
    recording = recordings.load(kind)
    assert recording["made_at"].count("-") == 2
    assert {"python", "celery", "kombu", "fastapi", "nginx", "redis-server"} <= recording["versions"].keys()
    assert "unknown" not in recording["versions"].values()


def test_all_stages_and_mixes_are_there_as_predicted() -> None:
    stages, lattice = recordings.load("stages")["runs"], recordings.load("lattice")["runs"]
    assert [entry["stage"] for entry in stages] == [stage.number for stage in ladder.STAGE_LIST]
    assert sorted(entry["mix"] for entry in lattice) == sorted(ladder.all_mixes())
    assert all(recordings.run_of(entry).as_predicted for entry in stages + lattice)


def test_a_message_holds_the_id_where_the_queue_service_had_it() -> None:
    for entry in recordings.load("lattice")["runs"]:
        handed_on = ladder.expected(entry["mix"])[ladder.HOPS.index("queue-service")]
        assert entry["message"]["id_at"] == ("kwargs.correlation_id" if handed_on == "kept" else None), entry["mix"]
        assert ("correlation_id" in entry["message"]["kwargs"]) is (handed_on != "missing"), entry["mix"]


def test_strict_layers_broke_as_the_rule_says() -> None:
    for entry in recordings.load("receivers")["runs"]:
        outcome = entry["outcome"]
        assert (outcome["status_code"], outcome["task"]) == strict.expected(outcome["mix"])


def test_small_and_without_this_machine() -> None:
    texts = [path.read_text() for path in recordings.FOLDER.glob("*.json")]
    assert sum(map(len, texts)) < 1024 * 1024
    traces = [str(Path.home()), str(ROOT), tempfile.gettempdir(), f"@{socket.gethostname()}"]
    assert not any(trace in text for text in texts for trace in traces)


def test_missing_or_damaged_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "FOLDER", tmp_path)
    with pytest.raises(ClewError, match="cannot be read") as missing:
        recordings.load("stages")
    assert missing.value.next_step == "make record"
    for text in ("{", "{}", json.dumps({"made_at": "x", "driver": "local", "versions": {"a": "1"}, "runs": [{}]})):
        (tmp_path / "stages.json").write_text(text)
        with pytest.raises(ClewError, match="damaged"):
            recordings.load("stages")
    with pytest.raises(ClewError, match="no recording 'nothing'"):
        recordings.load("nothing")
