"""Who may do what in Redis (stack/redis/users.acl), and that nobody reads a password where it does not belong."""

from __future__ import annotations

import json

import httpx
import pytest
from redis.exceptions import NoPermissionError
from up import Up

import redis
from clew.core import processes
from clew.evidence import client
from clew.stacks.services import FLOWER, REDIS, SERVICES

ROLES = ("api", "worker", "flower", "metrics", "operator")
KEY_OF_A_CLIENT = "idempotency:somebody:1"
# What each role tries, and who of the five may.
TRIED = {
    ("PING",): ROLES,
    ("INFO", "memory"): ROLES,
    ("LPUSH", "low-tried", "no message"): ("api", "worker", "operator"),
    ("LRANGE", "low-tried", "0", "0"): ("worker", "operator"),
    ("RPOP", "low-tried"): ("worker", "operator"),
    ("LMOVE", "low-tried", "low-tried", "LEFT", "RIGHT"): ("worker", "operator"),
    ("LMPOP", "1", "low-tried", "LEFT"): ("worker", "operator"),
    ("DUMP", "low-tried"): ("worker", "operator"),
    ("LLEN", "low-tried"): ("api", "worker", "flower", "operator"),
    ("HGETALL", "ledger:tasks"): ("api", "worker", "operator"),
    ("GET", KEY_OF_A_CLIENT): ("api", "operator"),
    ("SET", "workers-hold", "", "PX", "1"): ("operator",),
    ("SET", "anything", "1", "PX", "1"): ("operator",),
    ("PUBLISH", "/0.celery.pidbox", "not a command"): ("api", "worker", "flower", "operator"),
    ("CONFIG", "GET", "maxmemory"): ("metrics", "operator"),
    ("CONFIG", "SET", "maxmemory", "256mb"): ("operator",),
    ("KEYS", "*"): ("operator",),
    ("SCAN", "0"): ("operator",),
    ("CLIENT", "PAUSE", "1"): ("operator",),
    ("ACL", "LIST"): ("operator",),
    ("CLIENT", "KILL", "ID", "999999999"): ("operator",),
}


def as_role(up: Up, role: str) -> redis.Redis:
    password = up.driver.password(role)
    return redis.Redis(port=up.stack.ports[REDIS], username=role, password=password, socket_timeout=2)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_needs_and_nothing_else(up: Up, role: str) -> None:
    with as_role(up, role) as connection:
        for command, allowed in TRIED.items():
            try:
                connection.execute_command(*command)
                may = True
            except NoPermissionError:
                may = False
            assert may is (role in allowed), f"{role}: {' '.join(command)}"


def test_without_a_password_nobody_gets_in(up: Up) -> None:
    port = up.stack.ports[REDIS]
    with redis.Redis(port=port, socket_timeout=2) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()
    guesser = redis.Redis(port=port, username="api", password="guessed", socket_timeout=2)  # noqa: S106
    with guesser, pytest.raises(redis.AuthenticationError):
        guesser.ping()


def test_each_service_does_its_work_without_being_refused(up: Up) -> None:
    with as_role(up, "operator") as operator:
        operator.delete("low-tried")
        operator.acl_log_reset()
        answer = client.send_task(up.stack, "WHO-AM-I")
        assert client.result(up.stack, answer.task_id)["status"] == "SUCCESS"
        assert operator.acl_log() == []


def test_flower_asks_for_a_login(up: Up) -> None:
    address = f"http://127.0.0.1:{up.stack.ports[FLOWER]}"
    login = ("learner", up.driver.password("flower", "web"))
    with httpx.Client(trust_env=False, timeout=10) as browser:
        for page in ("/", "/workers", "/tasks", "/api/workers"):
            assert browser.get(address + page).status_code == 401, page
            assert browser.get(address + page, auth=("learner", "guessed")).status_code == 401, page
            assert browser.get(address + page, auth=login).status_code == 200, page


def test_no_password_is_where_everybody_can_read_it(up: Up) -> None:
    passwords = [*(up.driver.password(role) for role in ROLES), up.driver.password("flower", "web")]
    assert len(set(passwords)) == len(passwords) and min(map(len, passwords)) >= 16
    if up.driver.name == "docker":
        label = f"label=clew.block={up.stack.block // 10}"
        containers = processes.run(["docker", "ps", "--quiet", "--filter", label], 20).output.split()
        shown = processes.run(["docker", "inspect", *containers], 20).output
        assert len(json.loads(shown)) == len(SERVICES)
    else:
        shown = "".join(" ".join(process.cmdline()) + str(process.environ()) for process in up.driver.processes())
    logs = "".join("\n".join(lines) for lines in up.driver.logs().values())
    for password in passwords:
        assert password not in shown
        assert password not in logs


@pytest.mark.parametrize(("service", "role"), [("celery-worker-1", "worker"), ("fastapi-server-1", "api")])
def test_a_container_has_its_own_password_only(up: Up, service: str, role: str) -> None:
    if up.driver.name == "docker":
        assert up.driver.execute(service, "bash", "-c", "cat /secrets/*/*-password") == up.driver.password(role)
    else:  # there all processes are of one user
        files = list((up.stack.state / "local/volumes").glob("secrets-*/*-password"))
        assert len(files) == 6 and {file.stat().st_mode & 0o777 for file in files} == {0o600}
