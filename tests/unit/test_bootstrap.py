"""The stamps of bootstrap.py, and what it says when an installation fails."""

import ast
from pathlib import Path

import pytest

import bootstrap
from clew.provision import platforms


@pytest.fixture
def installed(checkout, write):
    """An environment in which `run` is installed."""
    write(checkout / "stack/requirements/run.txt", "celery==5\n")
    write(checkout / "stack/requirements/test.txt", "pytest==9\n")
    write(checkout / "python3.11", "")
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(checkout / "python3.11")
    (checkout / ".venv/made").write_bytes(bootstrap.stamp(b""))
    (checkout / ".venv/made-run").write_bytes(bootstrap.stamp(b"celery==5\n"))
    return checkout


def test_nothing_to_do(installed, monkeypatch):
    monkeypatch.setattr(bootstrap, "set_up", lambda groups: pytest.fail("there was nothing to do"))
    bootstrap.main(["run"])
    bootstrap.main([])


def test_other_group_is_missing(installed):
    assert bootstrap.missing(["run", "test"]) == ["test"]


def test_changed_requirements_are_installed_again(installed, write):
    write(installed / "stack/requirements/run.txt", "celery==6\n")
    assert bootstrap.missing(["run"]) == ["run"]
    assert bootstrap.is_made()


def test_half_made_environment_is_made_again(installed):
    (installed / ".venv/made").unlink()
    assert bootstrap.missing(["run"]) == ["run"]
    assert not bootstrap.is_made()


def test_python_that_vanished(installed):
    (installed / "python3.11").unlink()
    assert not bootstrap.is_made()


def test_python_that_was_replaced(installed, write):
    (installed / ".venv/bin/python").unlink()
    (installed / ".venv/bin/python").symlink_to(write(installed / "python3.13", ""))
    assert not bootstrap.is_made()


def test_checkout_that_moved(installed, monkeypatch, write):
    moved = installed.rename(installed.parent / "moved")
    monkeypatch.setattr(bootstrap, "ROOT", str(moved))
    (moved / ".venv/bin/python").unlink()
    (moved / ".venv/bin/python").symlink_to(write(installed / "python3.11", ""))
    assert not bootstrap.is_made()


def test_interrupted_package_is_forgotten(installed, write):
    packages = installed / ".venv/lib/python3.11/site-packages"
    write(packages / "whole-1.dist-info/RECORD", "")
    write(packages / "half-1.dist-info/METADATA", "")
    bootstrap.forget_unfinished_packages()
    assert [path.name for path in packages.iterdir()] == ["whole-1.dist-info"]


def test_unknown_group(checkout):
    with pytest.raises(SystemExit, match=r"No such group: nope\.\nNext: python3 stack/bootstrap\.py run"):
        bootstrap.main(["run", "nope"])


@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        ("WARNING: Retrying (Retry(total=0\nERROR: No matching distribution found for celery", "no network"),
        ("ERROR: No matching distribution found for numpy==2", "no ready-made package"),
        ("SSLError CERTIFICATE_VERIFY_FAILED\nWARNING: Retrying (", "PIP_CERT"),
        ("ERROR: something new", "Installing failed.\nERROR: something new"),
    ],
)
def test_cause_of_a_failed_install(printed, cause):
    error = bootstrap.failure("Installing", printed, "make test")
    assert cause in error.message
    assert "WARNING" not in error.message
    assert error.next_step == "make test"


@pytest.mark.parametrize("module", [bootstrap, platforms], ids=["bootstrap", "platforms"])
def test_older_pythons_can_read_the_version_check(module):
    ast.parse(Path(module.__file__).read_text(), feature_version=(3, 7))
