"""`make drill`: what is printed, and the exit code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clew.cli import drills as commands
from clew.core.errors import ClewError
from clew.drills.book import DRILLS
from clew.drills.model import Check, Result


@pytest.fixture
def runs(monkeypatch):
    """Have each run end with the next verdict of the list; return the list and what was asked for."""
    verdicts, asked = [], []

    def run(drill, on, seed, short, say, draw):
        asked.append((drill.name, on, seed, short))
        verdict = verdicts.pop(0)
        if isinstance(verdict, ClewError):
            raise verdict
        ok = {"held": True, "broken": False, "unknown": None}[verdict]
        checks = [Check("lost: acknowledged, never finished as due", "0", "0" if ok else "3", ok)]
        counts = dict.fromkeys(("requests", "acknowledged", "refused", "undetermined", "runs", "extra_runs"), 1)
        unknown = ["The fault did not land: kill redis-broker."] if ok is None else []
        return Result(drill.name, on, seed, "local", short, drill.claim, drill.should, drill.stock, verdict, unknown,
                      checks, counts, [], {}, [], 1.0, 2.0, Path("/x"))  # fmt: skip

    monkeypatch.setattr(commands, "run", run)
    return verdicts, asked


def typed(command, *arguments, **environment):
    return CliRunner().invoke(command, arguments, env=environment)


@pytest.mark.parametrize(("verdict", "code", "told"), [
    ("held", 0, "HELD: the claim is true in this run."),
    ("broken", 1, "BROKEN: the claim is false: lost: acknowledged, never finished as due."),
    ("unknown", 2, "UNKNOWN: this run does not show whether the claim is true."),
])  # fmt: skip
def test_the_verdict_and_its_exit_code(runs, verdict, code, told):
    runs[0].append(verdict)
    done = typed(commands.drill, "worker-kill")
    assert done.exit_code == code and told in done.stdout
    assert runs[1] == [("worker-kill", "durable", 7, False)]


def test_what_should_happen_is_printed_before_what_did(runs):
    runs[0].append("held")
    told = typed(commands.drill, "worker-kill").stdout
    drill = DRILLS["worker-kill"]
    places = [told.index(text) for text in (drill.claim, drill.should[0], "should be", "HELD")]
    assert places == sorted(places)


def test_with_the_defaults_a_claim_fails_or_did_not_fail_this_time(runs):
    runs[0].extend(["broken", "held"])
    failed, held = (typed(commands.drill, "worker-kill", "--on", "stock") for _ in range(2))
    assert "with the defaults the claim fails" in failed.stdout and DRILLS["worker-kill"].stock[:30] in failed.stdout
    assert "this time it did not fail" in held.stdout


def test_make_passes_its_variables_in_the_environment_and_empty_ones_count_as_absent(runs):
    runs[0].extend(["held", "held"])
    typed(commands.drill, CLEW_NAME="herd", CLEW_ON="stock", CLEW_SEED="3", CLEW_SHORT="1", CLEW_REPEAT="1")
    typed(commands.drill, CLEW_NAME="herd", CLEW_ON="", CLEW_SEED="", CLEW_SHORT="", CLEW_REPEAT="")
    assert runs[1] == [("herd", "stock", 3, True), ("herd", "durable", 7, False)]


def test_repeating_stops_at_the_first_run_that_does_not_hold_and_keeps_its_seed(runs):
    runs[0].extend(["held", "held", "unknown", "held"])
    done = typed(commands.drill, "herd", "--repeat", "20", "--seed", "5")
    assert [seed for _, _, seed, _ in runs[1]] == [5, 6, 7]
    assert done.exit_code == 2 and "make drill NAME=herd ON=durable SEED=7" in done.stdout


def test_all_repeats_that_hold_are_counted(runs):
    runs[0].extend(["held"] * 3)
    done = typed(commands.drill, "herd", "--repeat", "3")
    assert done.exit_code == 0 and "3 of 3 runs held, seeds 7 to 9" in done.stdout


def test_without_a_name_the_drills_are_listed(runs):
    done = typed(commands.drill)
    assert all(name in done.stdout for name in DRILLS)
    assert isinstance(done.exception, ClewError) and done.exception.next_step == "make drill NAME=worker-kill"


def test_other_settings_than_the_two_are_an_error(runs):
    done = typed(commands.drill, "herd", "--on", "stok")
    assert isinstance(done.exception, ClewError) and "durable or stock" in done.exception.message


def test_json_is_one_document(runs):
    runs[0].extend(["broken", "held", "held"])
    one = typed(commands.drill, "herd", "--json")
    assert json.loads(one.stdout)["verdict"] == "broken" and one.exit_code == 1
    several = typed(commands.drill, "herd", "--json", "--repeat", "2")
    assert [run["seed"] for run in json.loads(several.stdout)["runs"]] == [7, 8]


@pytest.mark.parametrize(("special", "code"), [
    ("held", 0), ("broken", 1), ("unknown", 2), (ClewError("needs strace", "DRIVER=local"), 2),
])  # fmt: skip
def test_all_drills_end_with_the_worst_verdict(runs, special, code):
    runs[0].extend([special, *["held"] * (len(DRILLS) - 1)])
    done = typed(commands.drills, "--short")
    assert done.exit_code == code
    assert [name for name, *_ in runs[1]] == list(DRILLS)
    assert all(name in done.stdout for name in DRILLS)


def test_broken_is_worse_than_unknown():
    held = Result("a", "durable", 7, "local", True, "", (), "", "held", [], [], {}, [], {}, [], 1.0, 1.0, Path("/x"))
    with pytest.raises(SystemExit) as ended:
        commands.end([held, replace(held, verdict="unknown"), replace(held, verdict="broken")])
    assert ended.value.code == 1
