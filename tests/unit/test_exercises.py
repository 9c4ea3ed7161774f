"""Every exercise: unsolved as the notebook gives it, solved by the folded solution, and wrong in likely ways."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
import wrong_headers
import wrong_under_load

from clew.lab.exercises import CHECKS, SENT, check
from clew.lab.exercises_of_systems import SHOWN_ABOVE, WHICH
from clew.lab.lessons import FOLDER, lessons


def solution(markdown: str) -> str | None:
    """Return the Python code of the folded solution in a notebook's Markdown, None where there is none."""
    found = re.search(r"<summary>A solution</summary>\s*```python\n(.*?)```", markdown, re.DOTALL)
    return found[1] if found else None


def exercises_of(path: Any) -> Iterator[tuple[str, str, str, str]]:
    """Return a notebook's exercises: name, the variable that is checked, the code as given, and the solution."""
    cells = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}
    for end in ("", *(name.removeprefix("check") for name in cells if name.startswith("check-"))):
        found = re.fullmatch(r'clew\.check\("([a-z-]+)", (\w+)\)', cells[f"check{end}"])
        assert found, f"{path.name}: the check cell is {cells[f'check{end}']!r}"
        answer = solution(cells[f"solution{end}"])
        assert answer, f"{path.name} folds no solution"
        yield found[1], found[2], cells[f"exercise{end}"], answer


def value(code: str, name: str) -> Any:
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - a notebook's own cell
    return names[name]


EXERCISES = [pytest.param(*found, id=found[0]) for path in lessons() for found in exercises_of(path)]


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
    assert len(EXERCISES) == 13


class Unfriendly:
    """An answer that fails whatever is done with it."""

    def fails(self, *_: object) -> Any:
        raise RuntimeError("do not look at me")

    __eq__ = __repr__ = __str__ = __bool__ = __iter__ = __len__ = __contains__ = __getitem__ = __hash__ = fails


ODD: list[Callable[[], Any]] = [
    lambda: (value for value in [SENT]),
    lambda: itertools.repeat("nginx"),
    lambda: [[], {}],
    lambda: {1: 2, "a": 3},
    lambda: {"task_data": 5},
    lambda: "nginx-loadbalancer",
    lambda: b"x",
    lambda: 5,
    lambda: float("nan"),
    lambda: True,
    lambda: dict,
    Unfriendly,
]


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", CHECKS)
def test_whatever_is_returned_is_told_in_words(name: str, make: Callable[[], Any]) -> None:
    for attempt in (lambda *_, **__: make(), lambda *_, **__: lambda *_, **__: make(), make()):
        told = check(name, attempt)
        assert told.ok is False
        assert len(told.words) > 30, told.words
        if not isinstance(make(), Unfriendly) and make() is not dict:
            assert "stopped with" not in told.words, told.words


def test_code_that_stops_is_told_as_such() -> None:
    def stops(*_: object, **__: object) -> None:
        raise SystemExit(3)

    for name in set(CHECKS) - {"which", "rollout", "order", "orphans", "carry"}:
        told = check(name, stops)
        assert told.ok is False
        assert told.words == "Your code stopped with SystemExit: 3"


def test_a_generator_of_the_right_names_is_an_answer() -> None:
    def found_in(lines: list[dict[str, Any]], wanted: str) -> Iterator[str]:
        yield from {line["service"] for line in lines if line.get("correlation_id") == wanted}

    assert check("search", found_in).ok


def test_an_unknown_exercise_is_told() -> None:
    told = check("nothing", None)
    assert told.ok is False
    assert "'nothing'" in told.words
    assert "keep-or-make" in told.words


def conduit(hand_on: Any) -> Any:
    """Return an answer that is right but for what `hand_on` makes of submit, the priority and the ID that was given."""
    return lambda submit: (
        lambda task_type, task_data, priority, correlation_id=None, **_: hand_on(submit, priority, correlation_id)
    )


def publish(send_it: Any) -> Any:
    """Return an answer that is right but for what `send_it` does with send_task, the name and the arguments."""
    return lambda send, name, data, cid: send_it(send, name, {**data, **({"correlation_id": cid} if cid else {})})


SITUATIONS = list(WHICH)
ALL_CORRELATION = dict.fromkeys(WHICH, "correlation")
ALL_TASK = dict.fromkeys(WHICH, "task")

WRONG = {
    "search": [
        (lambda ls, w: {line["service"] for line in ls if w in str(line.get("correlation_id"))}, "MY-TRACE-1234"),
        (lambda ls, w: [line["service"] for line in ls if line.get("correlation_id") == w], "more than once"),
        (lambda ls, w: {line["service"] for line in ls if line.get("correlation_id", w) in (w, None)}, "no ID at all"),
        (lambda ls, w: {line["service"] for line in ls if line["correlation_id"] == w}, "KeyError"),
        (lambda ls, w: {line["service"] for line in ls if line.get("correlation_id") == SENT}, "Look for `wanted`"),
        (lambda ls, w: {"nginx-loadbalancer", "fastapi-server-2"}, "Look for `wanted`"),
    ],
    "keep-or-make": [
        (lambda sent, own: own, "the bug of stage 0"),
        (lambda sent, own: sent, "gets none from you"),
        (lambda sent, own: sent or own, "anything that is not empty"),
        (lambda sent, own: sent if re.match("[A-Za-z0-9._-]+", sent) and '"' not in sent else own, "begins well"),
        (lambda sent, own: sent if re.match("^[A-Za-z0-9._-]{1,128}$", sent) else own, "overlooks a newline"),
        (lambda sent, own: sent if re.fullmatch(r"[\w.-]{1,128}", sent) else own, "letters of any language"),
        (lambda sent, own: sent if re.fullmatch("[A-Za-z0-9._-]+", sent) else own, "129 characters"),
        (lambda sent, own: sent if re.fullmatch(r"[A-Za-z\d._-]{1,128}", sent) else own, "a digit of another script"),
        (lambda sent, own: sent if re.fullmatch("[A-z0-9._-]{1,128}", sent) else own, "Write A-Za-z"),
        (lambda sent, own: sent if re.fullmatch("[!#-~]{1,128}", sent) else own, "lists what is forbidden"),
        (lambda sent, own: sent if re.fullmatch("[A-Z0-9-]{1,128}", sent) else own, "a harmless ID"),
    ],
    "arguments": [
        (
            lambda s, c: {"task_type": s.task_type, "task_data": s.data, "priority": s.priority, "request_id": c},
            "must be exactly",
        ),
        (
            lambda s, c: {
                "task_type": s.task_type,
                "task_data": {**s.data, "correlation_id": c},
                "priority": s.priority,
            },
            "next to it, not in it",
        ),
        (
            lambda s, c: {
                "task_type": s.task_type,
                "task_data": s.data,
                "priority": s.priority,
                "correlation_id": "new",
            },
            "starts a new trace",
        ),
        (lambda s, c: {"correlation_id": c}, "must still be there"),
        (
            lambda s, c: {
                "task_type": s.task_type,
                "task_data": s.data,
                "priority": s.priority,
                "correlation_id": SENT,
            },
            "write an ID into the code",
        ),
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
        (conduit(lambda submit, priority, given: submit(correlation_id=given)), "gets no queue"),
        (conduit(lambda submit, priority, given: submit(queue="low", correlation_id=given)), "The client chose"),
        (conduit(lambda submit, priority, given: submit(queue="high", correlation_id=given)), "The client chose"),
        (conduit(lambda submit, priority, given: submit(queue=priority, correlation_id=SENT)), "an ID into the code"),
        (
            conduit(lambda submit, priority, given: submit(queue=priority, correlation_id=given or str(uuid.uuid4()))),
            "gets an invented one",
        ),
        (
            conduit(lambda submit, priority, given: submit(queue=priority, correlation_id=str(uuid.uuid4()))),
            "only carries the ID",
        ),
        (
            conduit(lambda submit, priority, given: submit(queue=priority, correlation_id=given or "unknown")),
            "All requests without an ID then share one",
        ),
        (
            lambda submit: lambda **all: submit(queue=all["priority"], correlation_id=all.get("correlation_id")),
            "out of a dictionary",
        ),
    ],
    "publish": [
        (lambda send, name, data, cid: send(name, kwargs=dict(data), correlation_id=cid), "an option of Celery's"),
        (lambda send, name, data, cid: send(name, kwargs=data, headers={"correlation_id": cid}), "A header never"),
        (lambda send, name, data, cid: send(name, kwargs={**data, "correlation_id": cid}), "leave the key out"),
        (lambda send, name, data, cid: (data.update(correlation_id=cid), send(name, kwargs=data)), "Copy it first"),
        (lambda send, name, data, cid: None, "nothing is on the queue"),
        (publish(lambda send, name, kwargs: send("tasks.calculate_var", kwargs=kwargs)), "finds the function by"),
        (publish(lambda send, name, kwargs: send("calculate_var", kwargs=kwargs)), "finds the function by"),
        (publish(lambda send, name, kwargs: [send(name, kwargs=kwargs) for _ in "12"]), "called 2 times"),
        (lambda send, name, data, cid: send(name, kwargs={**data, "correlation_id": SENT}), "an ID into the code"),
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
        (
            lambda self, portfolio_data, **kw: {
                "task_id": self.request.id,
                "correlation_id": kw.get("correlation_id"),
            },
            "out of a dictionary",
        ),
    ],
    "which": [
        (ALL_CORRELATION, "the API answers 404"),
        (ALL_CORRELATION, "all or none"),
        (ALL_TASK, "before there was a task"),
        (ALL_TASK, "What they have in common"),
        ({**ALL_TASK, SITUATIONS[0]: "idempotency"}, "none of the three"),
        ({**ALL_TASK, SITUATIONS[0]: "key"}, "nothing is looked up by it"),
        (ALL_CORRELATION, "the same order"),
    ],
    "rollout": [
        (["nginx", "routes", "task-service", "queue-service", "worker"], "the task service does not know yet"),
        (["worker", "task-service", "queue-service", "routes", "nginx"], "the queue service does not know yet"),
        (["queue-service", "task-service", "routes", "worker", "nginx"], "the task fails where no client looks"),
        (["worker", "queue-service", "task-service", "routes", "nginx"], "the one shown above"),
        (["worker", "worker", "task-service", "routes", "nginx"], "each layer once"),
    ],
    "orphans": [
        ("SELEC", "syntax error"),
        ("FROM hops", "Return one column"),
        ("SELECT task_id FROM hops WHERE hop = 'worker' AND correlation_id = NULL", "IS NULL"),
        ("SELECT task_id FROM hops WHERE correlation_id IS NULL", "a line of nginx has no ID either"),
        ("SELECT DISTINCT task_id FROM logs WHERE task_id IS NOT NULL AND correlation_id IS NULL", "names t-kept"),
        ("SELECT DISTINCT task_id FROM hops WHERE hop = 'worker' AND correlation_id IS NULL", "names t-found"),
        ("SELECT 't-lost'", "misses t-other"),
        ("SELECT unnest(['t-lost', 't-lost', 't-other'])", "names t-lost twice"),
    ],
    **wrong_under_load.WRONG,
    **wrong_headers.WRONG,
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


def test_the_order_that_notebook_7_shows_is_the_one_that_is_refused() -> None:
    cell = next(cell for cell in nbformat.read(FOLDER / "07-receivers-first.ipynb", 4).cells if cell.id == "receivers")
    assert json.dumps(SHOWN_ABOVE) in cell.source


def test_notebooks_are_where_they_belong() -> None:
    assert [path.name for path in sorted(FOLDER.iterdir()) if path.suffix != ".ipynb" and path.is_file()] == []
