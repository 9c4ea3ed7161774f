"""Which client IDs pass, which are replaced, and that many requests at once never mix up theirs."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from raw_http import post
from up import Up

from clew import ladder, provision
from clew.core.lines import Line
from clew.core.wait import wait_until
from clew.evidence import client, logs
from clew.evidence.trace import Run, trace
from clew.lab.leaks.judge import servers_tried
from clew.stacks.services import API_SERVERS, NGINX, WORKERS

GENERATED = re.compile(r"[0-9a-f]{32}")
BODY = client.request_body()
LONGEST = "x" * 128

USABLE = ["MY-TRACE-123", "a", "A.b_c-9", LONGEST, "64cecbac-6e28-4001-b1a7-0123456789ab"]
UNUSABLE = {
    "none": [],
    "empty": [b""],
    "too long": [b"x" * 129],
    "300 characters": [b"x" * 300],
    "quotes": [b"a\"b'c"],
    "spaces": [b"two words"],
    "UTF-8": ["Ünïcode-⚡".encode()],
    "ESC": [b"\x1b[31mred"],
    "JSON": [b'","level":"ERROR'],
    "jndi": [b"${jndi:ldap://127.0.0.1/x}"],
    "bytes that are not UTF-8": [b"\xff\xfe\x80"],
}


def nginx_joins_repeated_headers() -> bool:
    """Since 1.23 nginx joins the values of a repeated header, before that it takes the first."""
    program = provision.find_nginx()
    assert program is not None
    shown = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    version = re.search(r"nginx/(\d+)\.(\d+)", shown)
    assert version is not None
    return (int(version[1]), int(version[2])) >= (1, 23)


def lines_of(up: Up, wanted: str) -> list[Line]:
    """Return the request's lines once nginx, which logs last, has written its own."""
    found: list[Line] = []

    def complete() -> bool:
        found[:] = logs.with_id(logs.read(up.driver), wanted)
        return any(line["service"] == NGINX for line in found)

    wait_until(complete, 5, f"nginx's line of {wanted}", "make doctor", every=0.02)
    return found


def all_texts(up: Up) -> list[str]:
    services = (NGINX, *API_SERVERS, *WORKERS)
    return [text for name, texts in up.driver.logs().items() if name in services for text in texts if text.strip()]


@pytest.mark.parametrize("sent", USABLE)
def test_a_usable_id_is_kept_and_echoed_once(stage_5: Up, sent: str) -> None:
    answer = post(stage_5.stack.port, BODY, [sent.encode()])

    assert answer.status == 201
    assert answer.ids == [sent]
    assert {line["service"] for line in lines_of(stage_5, sent)} >= {NGINX}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_id_is_replaced_and_the_answer_says_by_which(stage_5: Up, name: str) -> None:
    answer = post(stage_5.stack.port, BODY, UNUSABLE[name])

    assert answer.status == 201
    assert len(answer.ids) == 1
    assert GENERATED.fullmatch(answer.ids[0])
    client.result(stage_5.stack, answer.json["task_id"])
    lines = lines_of(stage_5, answer.ids[0])
    by_hop = {line["hop"]: line["correlation_id"] for line in lines if "hop" in line}
    assert by_hop == dict.fromkeys(("nginx", "routes", "task-service", "queue-service", "worker"), answer.ids[0])


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_api_server_asked_directly_replaces_it_too(stage_5: Up, name: str) -> None:
    server = API_SERVERS[0]
    answer = post(stage_5.stack.ports[server], BODY, UNUSABLE[name])

    if name == "ESC":  # the server's HTTP parser refuses it before the application sees it
        assert answer.status == 400
        return
    assert answer.status == 201
    assert len(answer.ids) == 1
    assert GENERATED.fullmatch(answer.ids[0])


def test_a_header_sent_twice_never_passes_as_it_is(stage_5: Up) -> None:
    answer = post(stage_5.stack.port, BODY, [b"first-id", b"second-id"])

    assert answer.status == 201
    assert len(answer.ids) == 1
    if nginx_joins_repeated_headers():
        assert GENERATED.fullmatch(answer.ids[0])
    else:  # an older nginx shows its configuration the first value only
        assert answer.ids == ["first-id"]
    assert not any("second-id" in text for text in all_texts(stage_5))


def test_an_api_server_asked_directly_replaces_a_header_sent_twice(stage_5: Up) -> None:
    answer = post(stage_5.stack.ports[API_SERVERS[0]], BODY, [b"first-id", b"second-id"])

    assert answer.status == 201
    assert GENERATED.fullmatch(answer.ids[0])


@pytest.mark.parametrize("value", [b"a\rb", b"a\x00b"], ids=["CR", "NUL"])
def test_what_is_not_a_header_is_answered_400_with_an_id(stage_5: Up, value: bytes) -> None:
    answer = post(stage_5.stack.port, BODY, [value])

    assert answer.status == 400
    assert len(answer.ids) == 1
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_line_feed_in_an_id_injects_no_log_line(stage_5: Up) -> None:
    answer = post(stage_5.stack.port, BODY, [b'a\n{"ts":1,"service":"nginx-loadbalancer","message":"forged"}'])

    assert answer.status in (201, 400)
    lines_of(stage_5, answer.ids[0])
    assert not any(line["message"] == "forged" for line in logs.read(stage_5.driver))


@pytest.mark.parametrize("service", [NGINX, API_SERVERS[0]])
@pytest.mark.parametrize("sent", [b"  spaces", b"spaces  "])
def test_spaces_around_an_id_are_not_part_of_it(stage_5: Up, service: str, sent: bytes) -> None:
    assert post(stage_5.stack.ports[service], BODY, [sent]).ids == ["spaces"]


def test_a_line_separator_in_a_path_makes_no_second_line(stage_5: Up) -> None:
    httpx.get(f"{stage_5.stack.url}/a%E2%80%A8b%C2%85c", trust_env=False)

    wait_until(
        lambda: any("\u2028" in text and "\x85" in text for text in all_texts(stage_5)), 5, "nginx's line, whole", ""
    )


def test_every_line_of_a_request_and_of_refused_ones_is_one_json_object(stage_5: Up) -> None:
    before = set(all_texts(stage_5))  # nginx's own error log is not JSON, and other tests kill servers
    for sent in UNUSABLE.values():
        refused = post(stage_5.stack.port, b"{", sent)
        lines_of(stage_5, refused.ids[0])
    trace(stage_5.stack, "every-line", driver=stage_5.driver)

    texts = [text for text in all_texts(stage_5) if text not in before]

    assert sum("every-line" in text for text in texts) > 5
    for text in texts:
        assert isinstance(json.loads(text), dict), text


def test_of_many_requests_at_once_no_line_carries_the_id_of_another(stage_5: Up) -> None:
    sent_ids = [f"crowd-{number}" for number in range(150)]

    def send(sent_id: str) -> tuple[str, str]:
        answer = client.send_task(stage_5.stack, sent_id)
        assert answer.answered_id == sent_id
        client.result(stage_5.stack, answer.task_id)
        return sent_id, answer.task_id

    with ThreadPoolExecutor(24) as pool:
        tasks = dict(pool.map(send, sent_ids))

    assert len(set(tasks.values())) == len(sent_ids)
    lines = logs.read(stage_5.driver)
    task_ids = {task_id: sent_id for sent_id, task_id in tasks.items()}
    with_both = [line for line in lines if line.get("task_id") in task_ids and "correlation_id" in line]
    tried = {line["correlation_id"]: servers_tried(line) for line in lines if line.get("hop") == "nginx"}
    once = {sent_id for sent_id in sent_ids if tried[sent_id] == 1}  # the others may have been worked on twice
    of_once = Counter(line["correlation_id"] for line in with_both if line["correlation_id"] in once)
    assert of_once == dict.fromkeys(once, 3)  # queue-service, START, COMPLETE
    assert all(task_ids[line["task_id"]] == line["correlation_id"] for line in with_both)
    seen = {hop: Counter(line["correlation_id"] for line in lines if line.get("hop") == hop) for hop in ladder.HOPS}
    for hop, counts in seen.items():
        crowd = {sent_id: count for sent_id, count in counts.items() if str(sent_id).startswith("crowd-")}
        assert set(crowd) == set(sent_ids), hop
        most = {sent_id: 1 if hop in ("nginx", "worker") else tried[sent_id] for sent_id in sent_ids}
        assert all(count <= most[sent_id] for sent_id, count in crowd.items()), hop


def test_the_same_id_three_times_is_three_tasks_with_three_results(stage_5: Up) -> None:
    def body(symbol: str, quantity: int, price: float) -> dict[str, object]:
        position = {"symbol": symbol, "quantity": quantity, "price": price}
        return {"data": {"positions": [position], "seed": 1}}

    bodies = [body("AAPL", 100, 150.0), body("GOOGL", 50, 2800.0), body("MSFT", 70, 380.0)]
    runs = [trace(stage_5.stack, "DUPLICATE-TEST-123", sent, stage_5.driver) for sent in bodies]

    assert len({run.task_id for run in runs}) == 3
    assert len({run.result["var_amount"] for run in runs}) == 3
    assert all(run.verdicts == ("kept",) * 5 for run in runs)
    lines = logs.with_id(logs.read(stage_5.driver), "DUPLICATE-TEST-123")
    assert {line["task_id"] for line in lines if line.get("hop") == "worker"} == {run.task_id for run in runs}


@pytest.mark.parametrize("task_type", client.REQUESTS)
def test_every_task_type_carries_the_id_to_its_worker(stage_5: Up, task_type: str) -> None:
    run = trace(stage_5.stack, f"type-{task_type}", client.request_body(task_type), stage_5.driver)

    assert run.status == "SUCCESS", run.error
    assert run.verdicts == ("kept",) * 5
    assert run.result


@pytest.mark.parametrize("task_type", client.REQUESTS)
def test_no_task_type_shows_the_id_in_its_worker_as_found(stage_0: Up, task_type: str) -> None:
    run = trace(stage_0.stack, f"type-{task_type}", client.request_body(task_type), stage_0.driver)

    assert run.status == "SUCCESS", run.error
    assert run.verdicts == ("replaced", "missing", "missing", "missing", "missing")


def test_with_other_requests_in_between_the_trace_says_that_it_cannot_know(stage_0: Up) -> None:
    """Twelve at once, as found: a line without an ID could belong to any of them."""
    crowded: list[Run] = []
    for _ in range(5):  # until two of them were under way at the same time
        with ThreadPoolExecutor(12) as pool:
            runs = pool.map(lambda n: trace(stage_0.stack, f"noise-{n}", driver=stage_0.driver), range(12))
            crowded = [run for run in runs if run.ambiguous]
        if crowded:
            break
    assert crowded
    for run in crowded:
        unsure = [hop for hop in run.hops if hop.candidates > 1]
        assert all(hop.id is None and hop.service is None and hop.ms is None for hop in unsure)
        assert run.verdicts == (
            "replaced",
            "missing",
            "missing",
            "missing",
            "missing",
        )  # that much is sure: none is kept
