"""All nine logs as a table: the same lines as `logs.read` returns, and what SQL makes of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fake_stack import FakeDriver
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.cli import seeing
from clew.core.errors import ClewError
from clew.evidence import client, logs, sql
from clew.stacks.stack import stage_stack

words = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\n\x01"), max_size=12)
times = st.one_of(st.integers(0, 10**10), st.floats(0, 1e10), st.just(-5), st.just("7"), st.none())
values = st.one_of(words, st.integers(-5, 5), st.none(), st.lists(st.integers(), max_size=2))
objects = st.fixed_dictionaries({"ts": times, "message": values}, optional={"hop": values, "level": words, "n": values})
lines = st.one_of(words, objects.map(json.dumps), st.just("1:M 24 Nov 2026 10:00:00.000 * Ready to accept"))


def table(driver: Any, query: str) -> list[tuple[Any, ...]]:
    with tempfile.TemporaryDirectory() as folder, sql.database(sql.save(driver, Path(folder))) as connection:
        return sql.ask(connection, query, "")[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, max_size=8), st.lists(lines, max_size=4))
def test_sql_has_every_line_as_the_search_has_it(of_nginx: list[str], of_redis: list[str]) -> None:
    driver = FakeDriver("11111")
    driver.texts |= {"nginx-loadbalancer": of_nginx, "redis-broker": of_redis}
    wanted = [(line["ts"], line["service"], line["message"], line.get("hop")) for line in logs.read(driver)]
    found = table(driver, "SELECT ts, service, message, hop FROM logs")
    assert sorted(found, key=repr) == sorted(((float(ts), *rest) for ts, *rest in wanted), key=repr)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDriver:
    """A stage 5 whose logs have one request, and two without an ID; the commands find it."""
    driver = FakeDriver("11111")
    transport = client.httpx.MockTransport(driver.answer)
    with client.httpx.Client(transport=transport) as http:
        http.post("http://nginx/api/v1/tasks", json={}, headers={"X-Request-ID": "MY-TRACE-123"})
    driver.write("celery-worker-2", message="VaR START", hop="worker", task_id="t-2", correlation_id=None)
    driver.texts["redis-broker"].append("1:M 24 Nov 2026 10:00:00.000 * Ready to accept connections")
    monkeypatch.setattr(seeing, "driver_of", lambda stack: driver)
    monkeypatch.setattr(seeing, "stack_named", stage_stack)
    monkeypatch.setattr("clew.stacks.stack.STATE", tmp_path)
    return driver


def run(*arguments: str) -> Any:
    group = {"sql": seeing.sql, "columns": seeing.columns}[arguments[0]]
    return CliRunner().invoke(group, ["5", *arguments[1:]], catch_exceptions=True)


def test_a_query_is_printed_as_rows(asked: FakeDriver) -> None:
    ran = run("sql", "--query", "SELECT hop, service FROM hops WHERE correlation_id IS NOT NULL ORDER BY began")
    assert ran.stdout.splitlines() == [
        "hop\tservice",
        "nginx\tnginx-loadbalancer",
        "routes\tfastapi-server-1",
        "task-service\tfastapi-server-1",
        "queue-service\tfastapi-server-1",
        "worker\tcelery-worker-1",
    ]
    assert "5 rows; the logs were loaded in " in ran.stderr


def test_a_query_is_printed_as_json_whatever_its_types_are(asked: FakeDriver) -> None:
    query = "SELECT count(*) AS n, to_timestamp(0)::DATE AS day, NULL AS none FROM logs"
    assert json.loads(run("sql", "--query", query, "--json").stdout) == [{"n": 8, "day": "1970-01-01", "none": None}]


def test_a_request_has_the_lines_of_its_tasks_too(asked: FakeDriver) -> None:
    asked.write("celery-worker-1", message="Task tasks.calculate_var[…] received", task_id=client_task(asked))
    ran = run("sql", "--query", "SELECT message FROM request('MY-TRACE-123')")
    assert "Task tasks.calculate_var[…] received" in ran.stdout
    assert len(ran.stdout.splitlines()) == 8  # a head, five hops, COMPLETE, received


def client_task(driver: FakeDriver) -> str:
    return next(json.loads(text)["task_id"] for text in driver.texts["celery-worker-1"])


def test_a_task_without_a_request_is_found(asked: FakeDriver) -> None:
    query = "SELECT task_id FROM hops WHERE hop = 'worker' GROUP BY task_id HAVING count(correlation_id) = 0"
    assert run("sql", "--query", query).stdout.splitlines() == ["task_id", "t-2"]


@pytest.mark.parametrize(("query", "said"), [("SELEC", "syntax error"), ("FROM nothing", "nothing does not exist")])
def test_a_refused_query_is_told_with_one_that_works(asked: FakeDriver, query: str, said: str) -> None:
    error = run("sql", "--query", query).exception
    assert isinstance(error, ClewError)
    assert said in error.message
    assert error.next_step.startswith("make stage-5 sql QUERY='FROM logs LIMIT 5'")


def test_without_a_terminal_a_query_is_needed(asked: FakeDriver) -> None:
    error = run("sql").exception
    assert isinstance(error, ClewError)
    assert "a query is needed" in error.message


def test_columns_are_the_services_of_one_request(asked: FakeDriver) -> None:
    shown = run("columns", "--id", "MY-TRACE-123").stdout
    head = next(line for line in shown.splitlines() if "nginx-loadbalancer" in line)
    assert head.split() == ["ms", "nginx-loadbalancer", "fastapi-server-1", "celery-worker-1"]
    assert "Ready to accept" not in shown
    found = json.loads(run("columns", "--id", "MY-TRACE-123", "--json").stdout)
    assert {line["hop"] for line in found if "hop" in line} == {
        "nginx", "routes", "task-service", "queue-service", "worker"
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["--id", "NOBODY-1"]])
def test_columns_need_an_id_that_is_there(asked: FakeDriver, arguments: list[str]) -> None:
    error = run("columns", *arguments).exception
    assert isinstance(error, ClewError)
    assert error.next_step.startswith("make stage-5 ")
