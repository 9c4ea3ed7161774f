"""The mystery in a terminal: what to do, which step is next, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clew.core.marks import BEADS
from clew.show.commands import with_ports
from clew.show.terminal import next_step, out, sentence

TOOLS = (
    ("send a request", "make mystery send ID=MY-TRACE-123 TYPE=stress_test"),
    ("several at once", "make mystery send COUNT=12"),
    ("a retried task", "make mystery send TYPE=rehearsal"),
    ("search nine logs", "make mystery logs ID=MY-TRACE-123"),
    ("logs of a service", "make mystery logs SERVICE=celery-worker-2"),
    ("open a message", "make mystery message"),
    ("a hint (10 points)", "make mystery HINT=1"),
    ("your edits undone", "make mystery RESET=1"),
    ("give up", "make mystery SHOW=1"),
)
IDS = (
    "An ID is 1 to 128 letters, digits, full stops, underscores and hyphens. Any other is replaced with a new one, "
    "which is correct."
)
QUESTIONS = {
    "detect": "Is something wrong with this stack?",
    "localise": "In which layer, or layers?",
    "cause": "What is wrong?",
    "fix": "Repair it: edit the file, then have it checked.",
}


def begin(seed: int, level: int, url: str, folder: str, files: Sequence[str], notes: Sequence[str] = ()) -> None:
    """Print what the mystery is and what a learner has."""
    sentence(
        f"Mystery {seed}, level {level}. Nine services run at {url}, as on stage 5. Some of these stacks have "
        "a fault, some have none. You have the logs and requests of your own."
    )
    for note in notes:
        sentence(with_ports(note))
    out.print()
    width = max(len(name) for name, _ in TOOLS)
    for name, command in TOOLS:
        out.print(f"  {name:<{width}}  {with_ports(command)}", markup=False)
    out.print()
    sentence(IDS)
    sentence(f"The files are in {folder}: {', '.join(files)}. You may read them; the logs tell more, and sooner.")
    next_step("make guess")


def steps(
    done: Mapping[str, bool | None],
    following: str | None,
    how: Mapping[str, str],
    causes: Mapping[str, str],
    hops: Sequence[str],
) -> None:
    """Print the four steps, and what there is to choose from in the next one."""
    marks = {True: BEADS["kept"], False: BEADS["missing"], None: " "}
    for step, question in QUESTIONS.items():
        out.print(f"  {marks[done[step]]} {step:<9} {question}", markup=False)
    if following == "localise":
        sentence(f"The layers: {', '.join(hops)}.")
    if following == "cause":
        out.print()
        for cause, text in causes.items():
            out.print(f"  {cause:<12} {text}", markup=False)
    if following:
        next_step(how[following])


def end(was: Sequence[tuple[str, str, str]], score: Mapping[str, Any]) -> None:
    """Print what was wrong, and the score."""
    out.print()
    if not was:
        sentence("Nothing was wrong with this stack.")
    for hop, seen, file in was:
        sentence(f"{hop}: {seen}")
        sentence(f"  in {file}")
    right = sum(bool(done) for done in score["steps"].values())
    of = len(score["steps"]) if was else 1
    minutes, seconds = divmod(round(score["seconds"]), 60)
    out.print(
        f"{score['score']} of 100 points: {right} of {of} steps, {score['hints']} hints, {minutes} min {seconds} s",
        markup=False,
    )
