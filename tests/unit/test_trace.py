"""Finding a request's hops in log lines: by ID, by task ID, and by time only while the logs are quiet."""

from __future__ import annotations

import pytest

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import logs
from clew.evidence.client import Answer
from clew.evidence.trace import CLOCK_SLACK, Hop, Run, check, find_hops
from clew.ladder import HOPS
from clew.show.display import Trail

ANSWER = Answer("MINE", 1000.0, 20.0, 201, "", {"task_id": "task-1", "status": "PENDING"})


def line(hop: str, ts: float, correlation_id: str | None = None, **fields: object) -> Line:
    service = {"nginx": "nginx-loadbalancer", "worker": "celery-worker-1"}.get(hop, "fastapi-server-1")
    return {"ts": ts, "service": service, "message": hop, "hop": hop, "correlation_id": correlation_id, **fields}


def request_lines(
    ids: list[str | None], task_id: str, at: float = 1000.0, server: str = "fastapi-server-1"
) -> list[Line]:
    nginx, routes, task, queue, worker = ids
    return [
        line("routes", at + 0.003, routes, service=server),
        line("task-service", at + 0.004, task, service=server),
        line("queue-service", at + 0.005, queue, task_id=task_id, service=server),
        line("nginx", at + 0.019, nginx, method="POST", request_time=0.018),
        line("worker", at + 0.030, worker, task_id=task_id),
    ]


def hops(lines: list[Line]) -> list[Hop]:
    return find_hops(lines, ANSWER)[0]


def test_each_verdict() -> None:
    found = hops(request_lines(["OTHER", "MINE", None, "", "MINE"], "task-1"))

    assert [hop.verdict for hop in found] == ["replaced", "kept", "missing", "missing", "kept"]
    assert [hop.id for hop in found] == ["OTHER", "MINE", None, "", "MINE"]
    assert [hop.ms for hop in found] == [1.0, 3.0, 4.0, 5.0, 30.0]
    server = "fastapi-server-1"
    assert [hop.service for hop in found] == ["nginx-loadbalancer", server, server, server, "celery-worker-1"]


def test_a_hop_has_its_line_s_place_and_its_time_in_tenths_of_a_millisecond() -> None:
    lines = request_lines(["MINE"] * 5, "task-1")
    lines[0] |= {"ts": 1000.00346, "at": "api/routes.py:12"}
    lines[1]["ts"] = 999.9985  # clocks differ
    lines[2]["ts"] = 1000.0004
    lines[4]["ts"] = 1000.9

    found = hops(lines)

    assert found[1] == Hop("routes", "kept", "MINE", "fastapi-server-1", 3.5, "api/routes.py:12")
    assert [hop.ms for hop in found[2:]] == [0.0, 0.4, 900.0]
    assert found[2].at is None


BEGIN, END = 1000.0 - CLOCK_SLACK, 1000.0 + 20.0 / 1000 + CLOCK_SLACK


@pytest.mark.parametrize(
    ("ts", "candidates"),
    [(BEGIN, 2), (BEGIN - 1e-6, 1), (END, 2), (END + 1e-6, 1), (1000.01999, 2), (1001.0, 1)],
)
def test_without_a_task_id_only_the_time_of_the_request_counts(ts: float, candidates: int) -> None:
    found = hops([*request_lines(["X", None, None, None, None], "task-1"), line("routes", ts)])

    assert found[1].candidates == candidates
    assert found[1].hop == "routes"


def test_another_method_is_another_request() -> None:
    health = line("nginx", 1000.01, "Y", method="GET", request_time=0.001)

    assert hops([*request_lines(["X"] * 5, "task-1"), health])[0].candidates == 1


def test_another_requests_lines_outside_the_time_are_not_this_ones() -> None:
    earlier = request_lines([None] * 5, "task-0", at=999.9)
    later = request_lines([None] * 5, "task-2", at=1000.1)

    found = hops(earlier + request_lines(["MINE"] * 5, "task-1") + later)

    assert [hop.verdict for hop in found] == ["kept"] * 5
    assert all(hop.candidates == 1 for hop in found)


def test_at_the_same_time_in_the_same_server_only_the_task_id_tells() -> None:
    others = request_lines(["X", None, None, None, None], "task-2", at=1000.001)

    found = hops(request_lines(["Y", None, None, None, None], "task-1") + others)

    assert [hop.candidates for hop in found] == [2, 2, 2, 1, 1]
    assert [hop.hop for hop in found] == list(HOPS)
    assert [hop.verdict for hop in found] == ["replaced", "missing", "missing", "missing", "missing"]
    assert [hop.ms for hop in found[:3]] == [None, None, None]
    assert [hop.ms for hop in found[3:]] == [5.0, 30.0]


def test_when_the_doubles_differ_the_verdict_is_unknown() -> None:
    others = request_lines(["X", "THEIRS", None, None, None], "task-2", at=1000.001)

    found = hops(request_lines(["Y", None, None, None, None], "task-1") + others)

    assert found[1].verdict == "unknown"


def test_an_id_that_was_kept_is_found_among_others() -> None:
    others = request_lines(["X", None, None, None, None], "task-2", at=1000.001)

    found = hops(request_lines(["MINE"] * 5, "task-1") + others)

    assert [hop.verdict for hop in found] == ["kept"] * 5


def test_two_requests_with_one_id_at_the_same_time_kept_it_both() -> None:
    others = request_lines(["MINE"] * 5, "task-2", at=1000.001)

    found = hops(request_lines(["MINE"] * 5, "task-1") + others)

    assert [(hop.verdict, hop.candidates) for hop in found] == [("kept", 2)] * 3 + [("kept", 1)] * 2


def test_the_server_that_queued_the_task_narrows_the_hops_before_it() -> None:
    others = request_lines(["X", None, None, None, None], "task-2", at=1000.001, server="fastapi-server-2")

    found = hops(request_lines(["Y", None, None, None, None], "task-1") + others)

    assert [hop.candidates for hop in found] == [2, 1, 1, 1, 1]
    assert {hop.service for hop in found[1:4]} == {"fastapi-server-1"}


def a_run(mix: str, verdicts: list[str]) -> Run:
    found = [Hop(name, verdict) for name, verdict in zip("abcde", verdicts, strict=True)]
    return Run(3, mix, "f", "local", "MINE", "MINE", "task-1", "SUCCESS", 1000.0, 20.0, None, None, found, [])


def test_check_names_what_differs() -> None:
    check(a_run("11100", ["kept", "kept", "kept", "missing", "missing"]))
    with pytest.raises(ClewError, match="d is kept, expected missing"):
        check(a_run("11100", ["kept", "kept", "kept", "kept", "missing"]))
    with pytest.raises(ClewError, match="d is kept, expected missing"):
        check(a_run("11110", ["kept", "kept", "kept", "kept", "missing"]))  # the stage counts, not what its files say


def test_a_run_survives_json() -> None:
    run = a_run("11100", ["kept", "kept", "kept", "missing", "missing"])

    assert Run.from_json(run.to_json()) == run
    assert Run.from_json({**run.to_json(), "as_predicted": True}) == run  # as runs were saved once


def test_nginx_s_time_claims_no_more_than_nginx_writes() -> None:
    assert Hop("nginx", "kept", ms=0.7).shown_ms == "≈1 ms"
    assert Hop("routes", "kept", ms=0.7).shown_ms == "0.7 ms"
    assert Hop("routes", "unknown").shown_ms == ""


def test_nginx_s_line_stands_after_those_of_the_server_it_asked() -> None:
    class Logs:
        def logs(self, since: float | None) -> dict[str, list[str]]:
            return {
                "nginx-loadbalancer": ['{"ts": 1000.005, "request_time": 0.005, "message": "nginx"}'],
                "fastapi-server-1": ['{"ts": 1000.005612, "message": "done"}', '{"ts": 1000.0061, "message": "later"}'],
            }

    assert [line["message"] for line in logs.read(Logs())] == ["done", "nginx", "later"]  # type: ignore[arg-type]


def test_a_line_without_a_time_or_a_level_has_that_of_its_service_s_line_before() -> None:
    class Logs:
        def __init__(self) -> None:
            self.since: float | None = None

        def logs(self, since: float | None) -> dict[str, list[str]]:
            self.since = since
            texts = ["no time", "  ", '{"ts": 1000.5, "level": "ERROR", "message": "first"}', "Traceback"]
            return {"flower": texts, "redis-broker": ['{"ts": 1000.25, "message": "early"}']}

    found = logs.read(Logs())  # type: ignore[arg-type]
    assert [(one["ts"], one["level"], one["message"]) for one in found] == [
        (0.0, "INFO", "no time"),
        (1000.25, "INFO", "early"),
        (1000.5, "ERROR", "first"),
        (1000.5, "INFO", "Traceback"),
    ]
    driver = Logs()
    assert [one["message"] for one in logs.read(driver, 1000.5)] == ["first", "Traceback"]  # type: ignore[arg-type]
    assert driver.since == 1000.5


def test_an_id_that_is_not_allowed_does_not_end_the_trail_in_words() -> None:
    run = a_run("11100", ["replaced", "replaced", "replaced", "missing", "missing"])
    run.sent_id = "not usable"

    assert run.to_json()["unusable"] is True
    assert "nginx replaced it with MINE" in Trail(run).text()
