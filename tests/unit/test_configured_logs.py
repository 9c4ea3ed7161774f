"""What `logs.configure` makes of logging: everything goes to standard output as JSON lines, and once."""

from __future__ import annotations

import dataclasses
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from taskqueue import logs

OTHERS = ("uvicorn", "uvicorn.error", "tornado")


@pytest.fixture
def restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, *OTHERS)]
    logging.captureWarnings(False)  # another module may have been imported that has configured logging
    before = [(one, one.handlers[:], one.level, one.propagate) for one in loggers]
    yield
    logging.captureWarnings(False)
    for one, handlers, level, propagate in before:
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


@pytest.mark.usefixtures("restored")
def test_every_line_is_one_json_object_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    for name in OTHERS:
        logging.getLogger(name).addHandler(logging.StreamHandler())
        logging.getLogger(name).propagate = False
    logs.configure()
    logging.getLogger("any").debug("not this")
    logging.getLogger("any").info("an event", extra={"queue": "high"})
    for name in OTHERS:
        logging.getLogger(name).warning("of %s", name)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("any").exception("failed")

    out, err = capsys.readouterr()
    found: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    assert [line["message"] for line in found[:4]] == ["an event", *(f"of {name}" for name in OTHERS)]
    assert found[0]["queue"] == "high" and found[0]["level"] == "INFO"
    assert "careful" in found[4]["message"]
    assert "RuntimeError: boom" in found[5]["exception"]


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ("development", ["our debug", "our info", "library's info", "library's warning"]),
        ("staging", ["our info", "library's info", "library's warning"]),
        ("production", ["our info", "library's warning"]),
    ],
)
def test_how_much_is_logged_depends_on_the_environment(
    environment: str, wanted: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: logging.getLogger(name).level for name in ("taskqueue", *logs.LIBRARIES)}
    monkeypatch.setattr(logs, "settings", dataclasses.replace(logs.settings, environment=environment))
    try:
        logs.configure()
        logging.getLogger("taskqueue").debug("our debug")
        logging.getLogger("api.routes").info("our info")
        logging.getLogger("celery.worker").debug("library's debug")
        logging.getLogger("celery.worker").info("library's info")
        logging.getLogger("kombu.connection").warning("library's warning")
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == wanted
