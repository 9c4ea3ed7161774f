"""Settings: what the environment says, what holds without it, and what is refused."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from taskqueue import settings as module
from taskqueue.settings import Settings

NAMES = ("SERVICE_NAME", "REDIS_URL", "REDIS_PASSWORD_FILE", "READY_FILE", "SETTINGS")


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, Settings("taskqueue", "redis://localhost:6379/0", "/tmp/worker-ready", True)),  # noqa: S108
        (
            {"SERVICE_NAME": "celery-worker-2", "REDIS_URL": "rediss://broker:1/2", "READY_FILE": "/ready"},
            Settings("celery-worker-2", "rediss://broker:1/2", "/ready", True),
        ),
        ({"SETTINGS": "durable"}, Settings("taskqueue", "redis://localhost:6379/0", "/tmp/worker-ready", True)),  # noqa: S108
        ({"SETTINGS": "stock"}, Settings("taskqueue", "redis://localhost:6379/0", "/tmp/worker-ready", False)),  # noqa: S108
    ],
)
def test_settings_are_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], settings: Settings
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment() == settings


@pytest.mark.parametrize(
    ("name", "value"), [("REDIS_URL", "localhost:6379"), ("REDIS_URL", ""), ("SETTINGS", "Durable"), ("SETTINGS", "")]
)
def test_what_cannot_be_meant_is_refused_with_its_name_and_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}: set it to"):
        Settings.from_environment()


def test_the_password_is_waited_for_and_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "redis-password"
    monkeypatch.setenv("REDIS_URL", "redis://api@redis-broker:6379/0")
    monkeypatch.setenv("REDIS_PASSWORD_FILE", str(file))
    monkeypatch.setattr(module, "PASSWORD_SECONDS", 0.1)
    with pytest.raises(ValueError, match=rf"no {file} after 0.1 s"):
        Settings.from_environment()

    monkeypatch.setattr(module, "PASSWORD_SECONDS", 10)
    (tmp_path / "new").write_text("a1b2")
    threading.Timer(0.1, (tmp_path / "new").rename, [file]).start()
    found = Settings.from_environment()
    assert found.redis_url == "redis://api:a1b2@redis-broker:6379/0"
    assert "a1b2" not in repr(found)
