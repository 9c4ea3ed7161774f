"""Every command that is printed can be typed as it stands: with the ports, and after a mistake too."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from clew.cli import cli, main
from clew.core.paths import ROOT
from clew.lab.mystery.faults import PROVOKE
from clew.lab.mystery.guess import HOW
from clew.show import mystery as words
from clew.show import terminal
from clew.show.commands import VERBS, with_ports


@pytest.mark.parametrize(
    ("text", "with_them"),
    [
        ("make guess WRONG=yes, or make guess WRONG=no", "make guess WRONG=yes P, or make guess WRONG=no P"),
        ('make guess CAUSE="cut retry", or make down', 'make guess CAUSE="cut retry" P, or make down P'),
        ("make guess FIX=1, once you have edited the file", "make guess FIX=1 P, once you have edited the file"),
        (
            "edit a.py, then make check-try. Stuck? make hint-try",
            "edit a.py, then make check-try P. Stuck? make hint-try P",
        ),
        ("make stage-3 up trace ID='it'\"'\"'s, 1'", "make stage-3 up trace ID='it'\"'\"'s, 1' P"),
        ("make stage-3 logs ID=a,b.", "make stage-3 logs ID=a,b. P"),
        ("Send some (make mystery send COUNT=12). Then", "Send some (make mystery send COUNT=12 P). Then"),
        ("make doctor DRIVER=", "make doctor DRIVER= P"),
        ("make stage-1 up CLEW_PORTS=180, or make down", "make stage-1 up CLEW_PORTS=180, or make down P"),
        ("make stage-5 trace, or make lab for the lessons", "make stage-5 trace P, or make lab for the lessons"),
        ("make downloads, make help-all", "make downloads, make help-all"),
    ],
)
def test_each_command_of_a_text_has_the_ports(monkeypatch: pytest.MonkeyPatch, text: str, with_them: str) -> None:
    monkeypatch.setenv("CLEW_PORTS", "210")
    assert with_ports(text) == with_them.replace(" P", " CLEW_PORTS=210")
    assert with_ports(with_ports(text)) == with_ports(text)
    monkeypatch.delenv("CLEW_PORTS")
    assert with_ports(text) == text
    monkeypatch.setenv("CLEW_PORTS", "nonsense")
    assert with_ports(text) == text, "the error is about that"


def test_what_the_mystery_prints_has_the_ports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLEW_PORTS", "210")
    words.begin(7, 2, "http://127.0.0.1:21070", "try/mystery-210", ["a.py"], ["make guess tells how it ended."])
    for step in HOW:
        terminal.next_step(HOW[step])
    printed = capsys.readouterr().out + "".join(with_ports(hint) for hint in PROVOKE.values())
    commands = re.findall(r"make [^,()\n]*", printed)
    assert len(commands) > 15
    assert [command for command in commands if "CLEW_PORTS=210" not in command] == []
    assert "1 to 128 letters, digits" in printed


def test_the_verbs_are_those_of_the_makefile() -> None:
    verbs = re.search(r"^VERBS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert verbs and {*verbs[1].split(), "down"} == {*VERBS.split()}


PICKY = [
    (command.name, option)
    for command in cli.commands.values()
    for option in command.params
    if str(option.envvar).startswith("CLEW_") and not isinstance(option.type, click.types.StringParamType | click.Path)
]


def mistake(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Type a command that cannot be read; return what it is told to standard error."""
    monkeypatch.setattr("sys.argv", ["clew", *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    return capsys.readouterr().err


@pytest.mark.usefixtures("usual_ports")
@pytest.mark.parametrize(("command", "option"), PICKY, ids=lambda it: getattr(it, "name", it))
def test_after_a_wrong_value_the_same_make_command_is_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, option: click.Parameter
) -> None:
    variable = str(option.envvar).removeprefix("CLEW_")
    for other in cli.commands[command].params:
        if other.envvar:
            monkeypatch.delenv(str(other.envvar), raising=False)
    monkeypatch.setenv(str(option.envvar), "maybe")
    monkeypatch.setenv("CLEW_COMMAND", f"make {command} ")
    arguments = ["3" for one in cli.commands[command].params if isinstance(one, click.Argument) and one.nargs == 1]
    told = mistake(monkeypatch, capsys, command, *arguments)
    assert told.startswith(f"✗ Invalid value for {variable}: 'maybe'")
    make, name, *given = shlex.split(told.partition("Next: ")[2])
    assert (make, name) == ("make", command)
    assert given or type(option.type) is click.types.IntParamType
    for pair in given:
        assert pair.startswith(f"{variable}=")
        option.type.convert(pair.partition("=")[2], option, None)


@pytest.mark.usefixtures("usual_ports")
def test_the_other_values_are_typed_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(PICKY) > 15
    for name, value in {"COMMAND": "make mystery send", "COUNT": "0", "ID": "it's", "TYPE": "stress_test"}.items():
        monkeypatch.setenv(f"CLEW_{name}", value)
    told = mistake(monkeypatch, capsys, "send", "mystery")
    assert told.endswith("""Next: make mystery send ID='it'"'"'s' TYPE=stress_test COUNT=1\n""")


def test_without_make_the_python_that_has_click_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CLEW_COMMAND", raising=False)
    monkeypatch.setattr("sys.executable", str(ROOT / ".venv/bin/python"))
    assert mistake(monkeypatch, capsys, "guess", "--wrong", "maybe").endswith(
        "Next: .venv/bin/python -m clew guess --help\n"
    )
    assert mistake(monkeypatch, capsys, "gues").endswith("Next: .venv/bin/python -m clew --help\n")
