"""What `make` prints, and what it answers to a target that does not exist."""

import shutil
import subprocess

import pytest

from clew.core.paths import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def make(*goals: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *goals], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("goals", [(), ("help",), ("help-all",)])
def test_help_fits_80_columns_and_has_no_odd_characters(goals):
    lines = make(*goals).stdout.splitlines()
    assert len(lines) > 6
    assert [line for line in lines if len(line) > 80 or "\t" in line] == []


def test_help_all_explains_every_target_that_people_type():
    explained = {line.split()[0] for line in make("help-all").stdout.splitlines()}
    assert {"stage-N", "up", "trace", "down", "journey", "test", "test-quick", "mutants", "clean"} <= explained


@pytest.mark.parametrize("goals", [("tarce",), ("stage-", "up"), ("trace",), ("stage-3",)])
def test_a_mistake_is_answered_with_what_to_type(goals):
    done = make(*goals)
    assert done.returncode != 0
    assert "Next: make " in done.stdout
    assert "cc " not in done.stdout + done.stderr
