"""What no client sends: requests made from the API's own description, and hostile headers, bodies and paths.

All go to a stage on loopback; how many there are is bounded. Whatever is sent, no answer is a 5xx except 503, and each
line of the services' logs is one JSON object.
"""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest
from raw_http import ask
from up import Up

from clew.core.lines import parse_line
from clew.stacks import lifecycle
from clew.stacks.ready import not_ready
from clew.stacks.services import API_SERVERS, NGINX, WORKERS
from clew.stacks.stack import drill_stack

SEED = 7
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance,response_headers_conformance"
NGINX_ERROR_LOG = (" [warn] ", " [error] ", " [info] ")


@pytest.fixture(scope="module")
def own() -> Iterator[Up]:
    """A stack of its own: what was sent here may still run when the next tests begin."""
    with pytest.MonkeyPatch.context() as patch, lifecycle.reserved(drill_stack()):
        patch.setenv("DRIVER", "local")
        with lifecycle.borrowed(drill_stack(), print) as started:
            yield Up(drill_stack(), started.driver)


def bad_lines(up: Up, since: float) -> list[str]:
    """Return the lines of nginx, API servers and workers that are not one JSON object with a time and a message."""
    found = []
    logs = up.driver.logs(since)
    for service in (NGINX, *API_SERVERS, *WORKERS):
        for text in logs[service]:
            if text.strip() and not any(level in text for level in NGINX_ERROR_LOG if service == NGINX):
                line = parse_line(service, text)
                if line["message"] == text or "ts" not in line:
                    found.append(f"{service}: {text[:200]}")
    return found


def statuses(up: Up, since: float) -> Counter[int]:
    lines = [parse_line(NGINX, text) for text in up.driver.logs(since)[NGINX]]
    return Counter(int(line["status_code"]) for line in lines if "status_code" in line and line["ts"] >= since)


def test_requests_from_the_apis_own_description(own: Up, tmp_path: Path) -> None:
    began = time.time()
    program = str(Path(sys.executable).with_name("schemathesis"))
    options = ["--checks", CHECKS, "--max-examples", "25", "--seed", str(SEED), "--request-timeout", "10", "--no-color"]
    ran = subprocess.run(
        [program, "run", f"{own.stack.url}/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-6000:]
    found = statuses(own, began)
    assert found.total() > 200 and found[201] > 10
    assert [status for status in found if status >= 500 and status != 503] == []
    assert bad_lines(own, began) == []


PARTS = [
    *(bytes([code]) for code in (*range(1, 9), 11, 12, 27, 127, 128, 255)),
    b"\x1b[31m", b"\xc3\x28", b"\xed\xa0\x80", "é✓\u202e".encode(), b"%00", b"%0d%0a", b"${jndi:ldap://x}", b"';--",
    b"<script>", b'"}', b'{"hop":"nginx"}', b"A" * 300, b"../..", b"\t", b" ", b"{{7*7}}", b"-1", b"1e999", b"null",
]  # fmt: skip
BODIES = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"NaN", b'{"task_type": "calculate_var"}', b"[" * 5000, b"\xff\xfe",
    b'{"task_type": "calculate_var", "data": {"positions": []}, "priority": "high"}',
    b'{"task_type": "calculate_var", "data": {"positions": [{"symbol": "\\u0000", "quantity": 1e308, "price": 1}]}}',
    b'{"a": 1, "a": 2, "task_type": "stress_test", "data": {"positions": [{"symbol": "A", "quantity": "1"}]}}',
]  # fmt: skip


def hostile(randoms: random.Random) -> bytes:
    """Return one request with something hostile in its path, a header, or its body."""
    part, other = randoms.choice(PARTS), randoms.choice(PARTS)
    method, path = randoms.choice([b"GET", b"POST", b"DELETE", b"PUT", b"FOO", b"get"]), b"/api/v1/tasks"
    headers = [b"Host: 127.0.0.1", b"Connection: close"]
    where = randoms.choice(("path", "query", "id", "key", "header", "name", "body", "type"))
    if where in ("path", "query"):
        path += (b"/" if where == "path" else b"?a=") + part + other
    headers.append(
        {"id": b"X-Request-ID: ", "key": b"Idempotency-Key: ", "header": b"User-Agent: "}.get(where, b"X: ") + part
    )
    if where == "name":
        headers.append(b"X-" + part + b": 1")
    content_type = part if where == "type" else b"application/json"
    body = part + other if where == "body" and randoms.random() < 0.3 else randoms.choice(BODIES)
    headers += [b"Content-Type: " + content_type, f"Content-Length: {len(body)}".encode()]
    return method + b" " + path + b" HTTP/1.1\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + body


def test_two_hundred_hostile_requests(own: Up) -> None:
    randoms = random.Random(SEED)  # noqa: S311 - the same requests each time
    began = time.time()
    answered: Counter[int] = Counter()
    for _ in range(200):
        request = hostile(randoms)
        try:
            answered[ask(own.stack.port, request).status] += 1
        except (HTTPException, ConnectionError):  # nginx may close the connection of a request that it cannot read
            answered[0] += 1
    assert answered.total() == 200
    assert [status for status in answered if status >= 500 and status != 503] == [], answered
    assert answered[0] < 20 and len(answered) > 3, answered
    assert bad_lines(own, began) == []
    assert not_ready(own.stack) == []


def test_a_client_that_asks_too_often_is_told_to_wait(own: Up) -> None:
    """The last of the tests on this stack: its bucket is full afterwards."""
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    last = request.replace(b"Host: x", b"Host: x\r\nConnection: close")
    many = 4000

    def ask_often() -> bytes:
        with socket.create_connection(("127.0.0.1", own.stack.port), timeout=60) as connection:
            connection.sendall(request * (many // 4 - 1) + last)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    with ThreadPoolExecutor(4) as clients:
        answers = b"".join(clients.map(lambda _: ask_often(), range(4)))
    found = Counter(re.findall(rb"HTTP/1.1 (\d+)", answers))
    assert set(found) == {b"200", b"429"}, found
    assert found.total() == many and found[b"429"] >= 10
    refused = answers[answers.index(b"HTTP/1.1 429") :]
    assert b"CLIENT_ERROR_TOO_MANY_REQUESTS" in refused and b"Retry-After: " in refused
    head = answers[: answers.index(b"\r\n\r\n")]
    for header in (b"X-Content-Type-Options: nosniff", b"X-Frame-Options: DENY", b"Referrer-Policy: no-referrer"):
        assert header in head


@pytest.mark.parametrize("text", ["no JSON", '{"ts": "x"}', "[]"])
def test_a_bad_line_is_noticed(text: str) -> None:
    class Driver:
        def logs(self, since: float) -> dict[str, list[str]]:
            good = json.dumps({"ts": 1.0, "message": "m"})
            return {service: [good] for service in (NGINX, *API_SERVERS, *WORKERS)} | {WORKERS[1]: [good, text]}

    assert bad_lines(Up(None, Driver()), 0) == [f"{WORKERS[1]}: {text}"]  # type: ignore[arg-type]
