"""Prometheus, Alertmanager and two exporters as processes of this machine, for one stack, as long as a block lasts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from clew import provision
from clew.core.errors import ClewError
from clew.core.paths import STACK
from clew.core.wait import wait_until
from clew.stacks.drivers import Driver, Say, driver_of
from clew.stacks.services import API_SERVERS, NGINX, REDIS
from clew.stacks.stack import Stack, checkout_mark

CONFIGURATION = STACK / "prometheus"
READY_SECONDS = 30
STOP_SECONDS = 5
OWN = ("alertmanager:9093", "alert-receiver:9094", "redis-exporter:9121", "nginx-exporter:9113")


class Sample(NamedTuple):
    """One value of a query's answer, with its labels."""

    labels: dict[str, str]
    value: float


class Alert(NamedTuple):
    """An alert as it arrived: `status` is firing or resolved, `at` when it arrived, in seconds since the epoch."""

    name: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    at: float


class Receiver(ThreadingHTTPServer):
    """Takes what Alertmanager sends, and keeps it in `alerts`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.alerts: list[Alert] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Post(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for one in content["alerts"]:
            labels = dict(one["labels"])
            name = labels.pop("alertname")
            self.server.alerts.append(Alert(name, one["status"], labels, one["annotations"], time.time()))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing for each alert: whoever started the receiver does."""


class Monitor:
    """A Prometheus that runs: `url` is its page, `alerts` what has arrived so far."""

    def __init__(self, stack: Stack, url: str, receiver: Receiver) -> None:
        self.stack, self.url, self.receiver = stack, url, receiver

    @property
    def alerts(self) -> list[Alert]:
        return self.receiver.alerts

    def query(self, expression: str) -> list[Sample]:
        """Return what an expression of PromQL is now.

        Raises:
            ClewError: Prometheus does not answer, or refuses the expression.
        """
        answer = self._get("/api/v1/query", {"query": expression})
        return [Sample(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def query_range(
        self, expression: str, since: float, until: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of an expression between two times, in seconds since the epoch: labels, and each `step`
        seconds the time and the value.

        Raises:
            ClewError: Prometheus does not answer, or refuses the expression.
        """
        wanted = {"query": expression, "start": str(since), "end": str(until), "step": str(step)}
        answer = self._get("/api/v1/query_range", wanted)
        return [
            (one["metric"], [(float(at), float(value)) for at, value in one["values"]])
            for one in answer["data"]["result"]
        ]

    def exemplars(self, expression: str, since: float) -> list[dict[str, str]]:
        """Return the labels of the exemplars of a histogram since a time, in seconds since the epoch."""
        wanted = {"query": expression, "start": str(since), "end": str(time.time() + 1)}
        answer = self._get("/api/v1/query_exemplars", wanted)
        return [exemplar["labels"] for series in answer["data"] for exemplar in series["exemplars"]]

    def targets_up(self) -> dict[str, bool]:
        """Return each scraped target, and whether it answered the last time."""
        answer = self._get("/api/v1/targets", {"state": "active"})
        return {
            f"{one['labels']['job']} {one['scrapeUrl']}": one["health"] == "up"
            for one in answer["data"]["activeTargets"]
        }

    def _get(self, path: str, parameters: dict[str, str]) -> dict[str, Any]:
        try:
            answer = httpx.get(self.url + path, params=parameters, timeout=5, trust_env=False)
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ClewError(f"Prometheus does not answer at {self.url}: {error}.", "make stage-5 metrics") from None
        if found.get("status") != "success":
            raise ClewError(f"Prometheus refuses the query: {found.get('error')}.", "make stage-5 metrics")
        return found


@contextlib.contextmanager
def watching(stack: Stack, driver: Driver, say: Say, pace: float = 1) -> Iterator[Monitor]:
    """Run Prometheus next to a stack in the block. With `pace` 6, windows and waits of the rules are a sixth.

    Raises:
        ClewError: the stack runs with containers, a program cannot be had, or does not get ready.
    """
    if driver.name != "local":
        raise ClewError(
            f"{stack.title} runs with containers, whose metrics only their own network has.",
            f"PROJECT=clew-{checkout_mark()}-{stack.name} docker compose -f stack/prometheus/compose.yaml up --build",
        )
    programs = provision.ensure_prometheus(say)
    home = stack.state / "monitor"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    receiver = Receiver()
    addresses = {"alert-receiver:9094": f"127.0.0.1:{receiver.port}"}
    for name in OWN:
        addresses.setdefault(name, f"127.0.0.1:{_free_port()}")
    addresses |= {f"{server}:8000": f"127.0.0.1:{stack.ports[server]}" for server in API_SERVERS}
    addresses |= {f"{worker}:9100": f"127.0.0.1:{port}" for worker, port in stack.metrics_ports.items()}
    for template in (programs.parent / "share/prometheus/alertmanager").glob("*.tmpl"):
        shutil.copy(template, home)
    for file in CONFIGURATION.glob("*.yml"):
        (home / file.name).write_text(faster(placed(file.read_text(), addresses), pace))
    own = f"127.0.0.1:{_free_port()}"
    monitor = Monitor(stack, f"http://{own}", receiver)
    commands = [
        [
            programs / "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={own}",
            "--storage.tsdb.retention.time=1d",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ],
        [
            programs / "prometheus-alertmanager",
            "--config.file=alertmanager.yml",
            "--storage.path=alerts",
            f"--web.listen-address={addresses['alertmanager:9093']}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ],
        [
            programs / "prometheus-redis-exporter",
            f"-redis.addr=redis://127.0.0.1:{stack.ports[REDIS]}",
            "-redis.user=metrics",
            f"-web.listen-address={addresses['redis-exporter:9121']}",
        ],
        [
            programs / "prometheus-nginx-exporter",
            f"-web.listen-address={addresses['nginx-exporter:9113']}",
            f"-nginx.scrape-uri=http://127.0.0.1:{stack.metrics_ports[NGINX]}/status",
        ],
    ]
    with contextlib.ExitStack() as ending:
        ending.callback(receiver.server_close)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        ending.callback(receiver.shutdown)
        environment = {**os.environ, "REDIS_PASSWORD": driver_of(stack).password("metrics")}
        processes = [ending.enter_context(_running([*map(str, command)], home, environment)) for command in commands]
        wait_until(
            lambda: _all_answer(processes, monitor, home), READY_SECONDS, "Prometheus", f"cat {home}/*.log", every=0.2
        )
        yield monitor


def placed(text: str, addresses: dict[str, str]) -> str:
    """Return a configuration with each `name:port` replaced by where that is on this machine."""
    for name, address in addresses.items():
        text = re.sub(rf"(?<![\w-]){name}\b", address, text)
    return text


def faster(rules: str, pace: float) -> str:
    """Return a configuration with windows of one minute, and times for which a rule must hold, `pace` times shorter."""
    if pace == 1:
        return rules
    rules = rules.replace("[1m]", f"[{60 / pace:.0f}s]").replace("_interval: 2s", "_interval: 1s")
    return re.sub(r"\bfor: (\d+)s", lambda found: f"for: {int(found[1]) / pace:.0f}s", rules)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], home: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the block, with its output in a file of its name."""
    with (home / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _all_answer(processes: list[subprocess.Popen[bytes]], monitor: Monitor, home: Path) -> bool:
    """Tell whether every target has been scraped.

    Raises:
        ClewError: a program has ended.
    """
    for process in processes:
        if process.poll() is not None:
            name = Path(str(process.args[0])).name  # type: ignore[index]
            said = (home / f"{name}.log").read_text(errors="replace").strip().splitlines()[-1:]
            raise ClewError(f"{name} has ended: {''.join(said)}", monitor.stack.command("metrics"))
    try:
        found = monitor.targets_up()
    except ClewError:
        return False
    return bool(found) and all(found.values())
