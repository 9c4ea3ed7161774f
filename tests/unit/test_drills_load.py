"""The clients: what they send, when they try again, and what they write down."""

import json
import random
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.drills import load
from clew.drills.load import Plan, Sender, rehearsal


class Api(ThreadingHTTPServer):
    """An API on loopback: `answers` has the statuses for each request in turn, then it is 201; None: no answer."""

    request_queue_size = 1000

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers = {}
        self.seen = defaultdict(list)


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        name = self.headers["X-Request-ID"]
        seen = self.server.seen[name]
        seen.append(self.headers)
        status = dict(enumerate(self.server.answers.get(name, ()))).get(len(seen) - 1, 201)
        if status is None:
            self.close_connection = True
            return
        body = json.dumps({"task_id": f"task of {name}"} if status in (200, 201) else {"code": "SERVER_ERROR"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    with Api() as api:
        threading.Thread(target=api.serve_forever, args=(0.01,), daemon=True).start()
        yield api
        api.shutdown()


@pytest.fixture
def sender(api):
    return Sender(f"http://127.0.0.1:{api.server_port}", random.Random(7))


def sent(sender, plan, api, client, *answers):
    request = plan.request(rehearsal(), time.time(), client)
    api.answers[request.correlation_id] = answers
    sender.begin([request])
    sender.finish(10)
    return request


def test_a_plain_client_tries_once_and_sends_no_key(api, sender):
    request = sent(sender, Plan(random.Random(7)), api, "plain", 503)
    assert (request.outcome, len(request.attempts), request.attempts[0].problem) == ("refused", 1, "SERVER_ERROR")
    assert "Idempotency-Key" not in api.seen[request.correlation_id][0]


def test_a_retrying_client_tries_until_it_is_accepted_with_one_key(api, sender):
    request = sent(sender, Plan(random.Random(7)), api, "retrying", 503, None, 502)
    assert [attempt.status for attempt in request.attempts] == [503, None, 502, 201]
    assert request.outcome == "acknowledged" and request.task_id == f"task of {request.correlation_id}"
    keys = {one["Idempotency-Key"] for one in api.seen[request.correlation_id]}
    assert keys == {f'"{request.key}"'}


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_for_good_is_not_tried_again(api, sender, status):
    assert len(sent(sender, Plan(random.Random(7)), api, "retrying", status).attempts) == 1


def test_a_broken_connection_leaves_the_request_undetermined(api, sender):
    request = sent(sender, Plan(random.Random(7)), api, "plain", None)
    assert request.outcome == "undetermined" and "Disconnected" in request.attempts[0].problem


def test_a_client_that_is_never_accepted_gives_up(api, sender, monkeypatch):
    monkeypatch.setattr(load, "PATIENCE_SECONDS", 0.3)
    request = sent(sender, Plan(random.Random(7)), api, "retrying", *[503] * 100_000)
    assert request.outcome == "refused" and len(request.attempts) > 1


def test_requests_are_sent_at_their_times(api, sender):
    plan, now = Plan(random.Random(7)), time.time()
    requests = [plan.request(rehearsal(), now + at) for at in (0.0, 0.3)]
    sender.begin(requests)
    sender.finish(10)
    first, second = (one.attempts[0].sent_at for one in requests)
    assert second - now >= 0.3 and first < second


def test_as_many_as_wanted_are_accepted_and_refused_ones_do_not_count(api, sender, monkeypatch):
    monkeypatch.setattr(load, "REFUSED_SECONDS", 0.0)
    plan = Plan(random.Random(7))

    def make():
        request = plan.request(rehearsal(), time.time(), "plain")
        if request.number % 3 == 0:
            api.answers[request.correlation_id] = (503,)
        return request

    sender.begin_until(50, make, senders=7)
    sender.finish(20)
    assert sender.accepted == 50
    assert sum(one.outcome == "acknowledged" for one in sender.requests) == 50
    assert sum(one.outcome == "refused" for one in sender.requests) >= 20


def test_a_load_that_hangs_can_be_given_up(api, sender):
    sender.begin([Plan(random.Random(7)).request(rehearsal(), time.time() + 3600)])
    assert sender.busy
    sender.stop()
    assert not sender.busy and sender.requests[0].attempts == []


def test_a_load_that_is_not_answered_in_time_is_an_error(api, sender):
    sender.begin([Plan(random.Random(7)).request(rehearsal(), time.time() + 3600)])
    with pytest.raises(ClewError, match="was not answered within"):
        sender.finish(0.1)
    assert not sender.busy


def test_a_fault_of_this_program_is_raised_where_the_load_is_waited_for(api, sender, monkeypatch):
    async def broken(client, request):
        raise ZeroDivisionError

    monkeypatch.setattr(load, "attempt", broken)
    sender.begin([Plan(random.Random(7)).request(rehearsal(), time.time())])
    with pytest.raises(ZeroDivisionError):
        sender.finish(10)


def test_a_load_that_ends_early_consists_of_what_was_sent(api, sender, monkeypatch):
    monkeypatch.setattr(load, "LOOK_SECONDS", 0.02)
    plan, now = Plan(random.Random(7)), time.time()
    first, later = plan.request(rehearsal(), now), plan.request(rehearsal(), now + 3600)
    sender.begin([first, later])
    wait_until(lambda: bool(first.attempts), 5, "the first request", "")
    sender.end_early()
    sender.finish(5)
    assert sender.requests == [first] and later.attempts == []
