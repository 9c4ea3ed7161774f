"""Every exercise: unsolved as the notebook gives it, solved by the folded solution, and wrong in likely ways."""

from __future__ import annotations

import re
from typing import Any

import nbformat
import pytest

from clew.lab.exercises import CHECKS, WHICH, check, solution
from clew.lab.lessons import FOLDER, lessons


def exercise_of(path: Any) -> tuple[str, str, str, str]:
    """Return a notebook's exercise: its name, the variable that is checked, the code as given, and the solution."""
    cells = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}
    found = re.fullmatch(r'clew\.check\("([a-z-]+)", (\w+)\)', cells["check"])
    assert found, f"{path.name}: the check cell is {cells['check']!r}"
    answer = solution(cells["solution"])
    assert answer, f"{path.name} folds no solution"
    return found[1], found[2], cells["exercise"], answer


def value(code: str, name: str) -> Any:
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - a notebook's own cell
    return names[name]


EXERCISES = [pytest.param(*exercise_of(path), id=path.stem) for path in lessons()]


@pytest.mark.parametrize(("name", "variable", "given", "solved"), EXERCISES)
def test_unsolved_fails_helpfully(name: str, variable: str, given: str, solved: str) -> None:
    told = check(name, value(given, variable))
    assert told.ok is False
    assert "Not solved yet" in told.words
    assert len(told.words) > 30


@pytest.mark.parametrize(("name", "variable", "given", "solved"), EXERCISES)
def test_solved_passes(name: str, variable: str, given: str, solved: str) -> None:
    told = check(name, value(solved, variable))
    assert told.ok is True, told.words


def test_every_exercise_is_in_a_notebook() -> None:
    assert {parameters.values[0] for parameters in EXERCISES} == set(CHECKS)
    assert len(EXERCISES) == 8


SITUATIONS = list(WHICH)
ALL_CORRELATION = dict.fromkeys(WHICH, "correlation")
ALL_TASK = dict.fromkeys(WHICH, "task")

WRONG = {
    "search": [
        (lambda ls, w: {line["service"] for line in ls if w in str(line.get("correlation_id"))}, "MY-TRACE-1234"),
        (lambda ls, w: [line["service"] for line in ls if line.get("correlation_id") == w], "more than once"),
        (lambda ls, w: {line["service"] for line in ls if line.get("correlation_id", w) in (w, None)}, "no ID at all"),
        (lambda ls, w: {line["service"] for line in ls if line["correlation_id"] == w}, "KeyError"),
    ],
    "keep-or-make": [
        (lambda sent, own: own, "the bug of stage 0"),
        (lambda sent, own: sent, "gets none from you"),
        (lambda sent, own: sent or own, "whatever is not empty"),
        (lambda sent, own: sent if re.match("[A-Za-z0-9._-]+", sent) and '"' not in sent else own, "a good beginning"),
        (lambda sent, own: sent if re.match("^[A-Za-z0-9._-]{1,128}$", sent) else own, "overlooks a newline"),
        (lambda sent, own: sent if re.fullmatch(r"[\w.-]{1,128}", sent) else own, "any language's"),
        (lambda sent, own: sent if re.fullmatch("[A-Za-z0-9._-]+", sent) else own, "129 characters"),
        (lambda sent, own: sent if re.fullmatch("[A-Z0-9-]{1,128}", sent) else own, "does no harm"),
    ],
    "arguments": [
        (
            lambda s, c: {"task_type": s.task_type, "task_data": s.data, "priority": s.priority, "request_id": c},
            "to the letter",
        ),
        (
            lambda s, c: {
                "task_type": s.task_type,
                "task_data": {**s.data, "correlation_id": c},
                "priority": s.priority,
            },
            "beside it, not in it",
        ),
        (
            lambda s, c: {
                "task_type": s.task_type,
                "task_data": s.data,
                "priority": s.priority,
                "correlation_id": "new",
            },
            "begins a new thread",
        ),
        (lambda s, c: {"correlation_id": c}, "must still be there"),
    ],
    "conduit": [
        (lambda submit: lambda task_type, task_data, priority, **_: submit(queue=priority), "`**_` takes the ID"),
        (lambda submit: lambda task_type, task_data, priority, **_: submit(queue=priority, **_), "fell into `**_`"),
        (
            lambda submit: (
                lambda task_type, task_data, priority, correlation_id, **_: submit(
                    queue=priority, correlation_id=correlation_id
                )
            ),
            "Give the parameter a default",
        ),
        (
            lambda submit: (
                lambda task_type, task_data, priority, correlation_id=None, **_: submit(
                    queue=priority, correlation_id=None
                )
            ),
            "only carries the ID",
        ),
        (
            lambda submit: (
                lambda task_type, task_data, priority, correlation_id=None, **_: submit(priority, correlation_id)
            ),
            "with names",
        ),
    ],
    "publish": [
        (lambda send, name, data, cid: send(name, kwargs=dict(data), correlation_id=cid), "an option of Celery's"),
        (lambda send, name, data, cid: send(name, kwargs=data, headers={"correlation_id": cid}), "A header never"),
        (lambda send, name, data, cid: send(name, kwargs={**data, "correlation_id": cid}), "leave the key out"),
        (lambda send, name, data, cid: (data.update(correlation_id=cid), send(name, kwargs=data)), "Copy it first"),
        (lambda send, name, data, cid: None, "nothing is on the queue"),
    ],
    "task": [
        (
            lambda self, portfolio_data, **_: {
                "task_id": self.request.id,
                "correlation_id": self.request.correlation_id,
            },
            "Celery's own",
        ),
        (
            lambda self, portfolio_data, correlation_id, **_: {
                "task_id": self.request.id,
                "correlation_id": correlation_id,
            },
            "give the parameter a default",
        ),
        (
            lambda self, portfolio_data, correlation_id="unknown", **_: {
                "task_id": self.request.id,
                "correlation_id": correlation_id,
            },
            "leads nowhere",
        ),
        (
            lambda self, portfolio_data, correlation_id=None, **_: {"correlation_id": correlation_id},
            "the link to status",
        ),
    ],
    "which": [
        (ALL_CORRELATION, "the API answers 404"),
        (ALL_CORRELATION, "all or none"),
        (ALL_TASK, "before there was a task"),
        (ALL_TASK, "What they have in common"),
        ({**ALL_TASK, SITUATIONS[0]: "idempotency"}, "none of the two"),
    ],
    "rollout": [
        (["nginx", "routes", "task-service", "queue-service", "worker"], "the task service does not know yet"),
        (["worker", "task-service", "queue-service", "routes", "nginx"], "the queue service does not know yet"),
        (["queue-service", "task-service", "routes", "worker", "nginx"], "the task fails where no client looks"),
        (["worker", "worker", "task-service", "routes", "nginx"], "each layer once"),
    ],
}


@pytest.mark.parametrize(
    ("name", "attempt", "explanation"),
    [pytest.param(name, *wrong, id=f"{name}: {wrong[1]}") for name, wrongs in WRONG.items() for wrong in wrongs],
)
def test_a_likely_mistake_has_an_explanation_of_its_own(name: str, attempt: Any, explanation: str) -> None:
    told = check(name, attempt)
    assert told.ok is False
    assert explanation in told.words


def test_each_exercise_explains_two_mistakes_at_least() -> None:
    assert set(WRONG) == set(CHECKS)
    assert all(len({explanation for _, explanation in wrongs}) >= 2 for wrongs in WRONG.values())


def test_a_receiver_that_gets_nothing_yet_may_be_fixed_late() -> None:
    assert check("rollout", ["queue-service", "worker", "nginx", "task-service", "routes"]).ok


def test_notebooks_are_where_they_belong() -> None:
    assert [path.name for path in sorted(FOLDER.iterdir()) if path.suffix != ".ipynb" and path.is_file()] == []
