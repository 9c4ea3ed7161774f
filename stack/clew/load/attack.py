"""The process that sends a load: `python -m clew.load.attack URL FOLDER PORT`, with the plan in FOLDER/plan.json.

Locust's users wait for an answer before they send again, so a server that is slow is asked less, and its slowness
hardly shows (coordinated omission). Here one user sends every request when it is due, and its time counts from then.
Locust does the rest: the live page on PORT, the figures, the report.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

import gevent  # noqa: E402
from gevent.pool import Pool  # noqa: E402
from geventhttpclient import HTTPClient  # noqa: E402
from locust import User, task  # noqa: E402
from locust.env import Environment  # noqa: E402
from locust.html import get_html_report  # noqa: E402
from locust.stats import stats_history  # noqa: E402

from clew.load.scenarios import SLOW_SECONDS, Due, require_loopback  # noqa: E402
from taskqueue.contract import HEADER  # noqa: E402

MOST_OPEN = 400  # requests at a time; one that must wait for its turn is late, and its time tells so
ANSWER_SECONDS = 10.0
PIECES = 10  # in which a slow client sends its body
PATH = "/api/v1/tasks"
Outcome = dict[str, Any]


class Arrivals(User):  # type: ignore[misc]
    """Sends the whole plan, then ends the run."""

    url = ""
    plan: list[Due] = []  # noqa: RUF012 - set once, before the only instance is made
    outcomes: list[Outcome] = []  # noqa: RUF012

    @task  # type: ignore[untyped-decorator]
    def send_all(self) -> None:
        parts = urlsplit(self.url)
        self.address = (parts.hostname, parts.port)
        self.client = HTTPClient(
            *self.address, concurrency=MOST_OPEN, connection_timeout=ANSWER_SECONDS, network_timeout=ANSWER_SECONDS
        )
        pool = Pool(MOST_OPEN)
        began = time.time() + 0.1
        for one in self.plan:
            if (left := began + one.at - time.time()) > 0:
                gevent.sleep(left)
            pool.spawn(self.send, one, began + one.at)
        pool.join(timeout=ANSWER_SECONDS + SLOW_SECONDS)
        gevent.spawn(self.environment.runner.quit)
        gevent.sleep(60)

    def send(self, one: Due, due_at: float) -> None:
        """Send one request, and note when it was sent and what came back."""
        data = {"seconds": one.work}
        body = json.dumps({"task_type": "rehearsal", "data": data, "priority": one.priority}).encode()
        sent_at, status, size, error = time.time(), 0, 0, None
        try:
            if one.slow:
                status, size = self.slowly(one, body)
                due_at += SLOW_SECONDS  # what the client takes is not the server's
            else:
                headers = {HEADER: one.correlation_id, "Content-Type": "application/json"}
                answer = self.client.post(PATH, body, headers)
                status, size = answer.status_code, len(answer.read())
        except (OSError, gevent.Timeout) as failure:
            error = failure
        ms = (time.time() - due_at) * 1000
        if error is None and status != 201:
            error = OSError(f"HTTP {status}")
        name = f"{PATH} {'slow client' if one.slow else one.priority}"
        self.environment.events.request.fire(
            request_type="POST", name=name, response_time=ms, response_length=size, exception=error, context={}
        )
        late = (sent_at - due_at + (SLOW_SECONDS if one.slow and status else 0)) * 1000
        self.outcomes.append({"id": one.correlation_id, "status": status, "ms": round(ms, 3), "late": round(late, 3)})

    def slowly(self, one: Due, body: bytes) -> tuple[int, int]:
        """Send a request on a connection of its own, its body in pieces; return the answer's status and size."""
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {self.address[0]}\r\n{HEADER}: {one.correlation_id}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection(self.address, timeout=ANSWER_SECONDS) as connection:
            connection.sendall(head.encode())
            step = -(-len(body) // PIECES)
            for start in range(0, len(body), step):
                gevent.sleep(SLOW_SECONDS / PIECES)
                connection.sendall(body[start : start + step])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        line = answer.partition(b"\r\n")[0].split()
        return int(line[1]) if len(line) > 1 else 0, len(answer)


def main(url: str, folder: Path, port: int) -> None:
    """Send the plan in a folder; write the outcomes and Locust's report there."""
    require_loopback(url)
    Arrivals.url, Arrivals.host = url, url
    Arrivals.plan = [Due(*one) for one in json.loads((folder / "plan.json").read_text())]
    environment = Environment(user_classes=[Arrivals], host=url)
    runner = environment.create_local_runner()
    page = environment.create_web_ui("127.0.0.1", port)
    gevent.spawn(stats_history, runner)
    runner.start(1, spawn_rate=1)
    runner.greenlet.join()
    (folder / "report.html").write_text(get_html_report(environment, show_download_link=False))
    (folder / "locust.json").write_text(json.dumps(runner.stats.serialize_stats()))
    with (folder / "requests.jsonl").open("w") as file:
        file.writelines(json.dumps(one) + "\n" for one in Arrivals.outcomes)
    page.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
