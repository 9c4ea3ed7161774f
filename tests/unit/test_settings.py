"""Settings: what the environment says, what holds without it, and what is refused."""

from __future__ import annotations

import pytest

from taskqueue.settings import Settings

NAMES = ("SERVICE_NAME", "REDIS_URL", "READY_FILE", "SETTINGS")


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
