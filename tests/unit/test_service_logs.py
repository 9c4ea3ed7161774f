"""The services' log lines: JSON, one a line, and what a task's lines say about its end."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from taskqueue import logs


def line(**record: Any) -> dict[str, Any]:
    text = logs.JsonLine().format(logging.makeLogRecord({"msg": "x", **record}))
    assert "\n" not in text
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_a_line_is_one_line_of_json_whatever_is_in_it() -> None:
    found = line(msg='a\nb "c" \x1b[31m ⚡ \udc80', hop="x", pathname=__file__, lineno=3)

    assert found["message"] == 'a\nb "c" \x1b[31m ⚡ \udc80'
    assert found["at"].endswith("test_service_logs.py:3")


def test_extra_fields_are_in_the_line_and_only_a_hand_off_says_where() -> None:
    found = line(queue="high", created=12.3456789)

    assert found["queue"] == "high"
    assert found["ts"] == 12.345679
    assert "at" not in found


def test_celerys_own_lines_have_the_task_id_in_its_field() -> None:
    assert line(data={"id": "t", "name": "tasks.calculate_var"})["task_id"] == "t"


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        found = line(exc_info=(ValueError, error, error.__traceback__))

    assert "ValueError: why" in found["exception"]


def test_warnings_and_the_servers_own_lines_are_json_too() -> None:
    code = """
import logging, warnings
from taskqueue import logs
logging.getLogger("uvicorn").addHandler(logging.StreamHandler())
logging.getLogger("uvicorn").propagate = False
logs.configure()
warnings.warn("old")
logging.getLogger("uvicorn.error").info("Started")
logging.getLogger("tornado.access").warning("slow")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stderr == ""
    messages = [json.loads(text)["message"] for text in run.stdout.splitlines()]
    assert len(messages) == 3
    assert "old" in messages[0]
    assert messages[1:] == ["Started", "slow"]


def test_a_hand_off_logs_the_id_in_the_arguments_it_passes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    logs.log_hand_off("routes", {"correlation_id": "MY-TRACE-123"}, queue="high")
    logs.log_hand_off("routes", {})

    kept, missing = (vars(record) for record in caplog.records)
    assert (kept["hop"], kept["correlation_id"], kept["queue"]) == ("routes", "MY-TRACE-123", "high")
    assert missing["correlation_id"] is None


def test_a_line_names_the_code_that_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    logs.log_hand_off("routes", {})
    with logs.task_log("VaR", task_id="t", correlation_id=None):
        pass

    assert [record.pathname for record in caplog.records[:2]] == [__file__, __file__]


def ends(caplog: pytest.LogCaptureFixture, error: BaseException | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of the two lines of a task that ends like this."""
    caplog.set_level(logging.INFO)
    with (
        pytest.raises(type(error)) if error else contextlib.nullcontext(),
        logs.task_log("VaR", task_id="t", correlation_id="MY-TRACE-123"),
    ):
        if error:
            raise error
    start, end = (vars(record) for record in caplog.records)
    return start, end


def test_a_task_that_succeeds_is_logged_complete(caplog: pytest.LogCaptureFixture) -> None:
    start, end = ends(caplog, None)

    assert (start["hop"], start["message"], end["message"]) == ("worker", "VaR START", "VaR COMPLETE")
    for fields in (start, end):
        assert (fields["task_id"], fields["correlation_id"]) == ("t", "MY-TRACE-123")
    assert end["duration_ms"] >= 0
    assert "hop" not in end


def test_a_task_that_fails_is_logged_failed(caplog: pytest.LogCaptureFixture) -> None:
    _, end = ends(caplog, ValueError("why"))

    assert (end["levelname"], end["message"]) == ("ERROR", "VaR FAILED: why")


def test_a_task_that_is_stopped_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """A pool's process that is told to stop raises SystemExit(-241) in the task."""
    _, end = ends(caplog, SystemExit(-241))

    assert end["levelname"] == "WARNING"
    assert end["message"].startswith("VaR STOPPED: cancelled")
    assert "241" not in end["message"]
