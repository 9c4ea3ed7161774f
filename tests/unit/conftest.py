from pathlib import Path

import pytest

import bootstrap
from clew.core import paths


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty checkout, whose path contains a space, in place of this one."""
    root = tmp_path / "a checkout"
    root.mkdir()
    places = {"ROOT": root, "STACK": root / "stack", "SETUP": root / ".clew", "CACHE": root / ".clew/cache"}
    for name, place in places.items():
        monkeypatch.setattr(paths, name, place)
    monkeypatch.setattr(bootstrap, "ROOT", str(root))
    monkeypatch.delenv("CLEW_COMMAND", raising=False)
    return root


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A docker command that writes down what it is asked and then runs the given shell lines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(lines: str) -> Path:
        program = folder / "docker"
        program.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/asked"\n{lines}\n')
        program.chmod(0o755)
        (tmp_path / "asked").touch()
        return tmp_path / "asked"

    return install


@pytest.fixture
def write():
    """Write a text into a file and return its path; its folders are created."""

    def write_text(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_text
