"""Finding a request's hops in log lines: by ID, by task ID, and by time only while the logs are quiet."""

from __future__ import annotations

import pytest

from clew.core.errors import ClewError
from clew.core.lines import Line
from clew.evidence import logs
from clew.evidence.client import Answer
from clew.evidence.trace import Hop, Run, check, find_hops
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


def test_the_server_that_queued_the_task_narrows_the_hops_before_it() -> None:
    others = request_lines(["X", None, None, None, None], "task-2", at=1000.001, server="fastapi-server-2")

    found = hops(request_lines(["Y", None, None, None, None], "task-1") + others)

    assert [hop.candidates for hop in found] == [2, 1, 1, 1, 1]


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


def test_an_id_that_is_not_allowed_does_not_end_the_trail_in_words() -> None:
    run = a_run("11100", ["replaced", "replaced", "replaced", "missing", "missing"])
    run.sent_id = "not usable"

    assert run.to_json()["unusable"] is True
    assert "nginx replaced it with MINE" in Trail(run).text()
