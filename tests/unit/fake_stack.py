"""A stage that is up without any service: its API is a function, its logs are lists, made by one rule per layer."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from clew import ladder
from clew.core.lines import Line
from clew.stacks.services import SERVICES

TASK_ID = "64cecbac-6e28-4001-b1a7-0123456789ab"
SERVICE_OF = {"nginx": "nginx-loadbalancer", "worker": "celery-worker-1"}


class FakeDriver:
    """Serves log lines from lists. `answer` takes a request as the API would and writes the lines that `mix` makes."""

    name = "fake"

    def __init__(self, mix: str) -> None:
        self.mix = mix
        self.texts: dict[str, list[str]] = {service: [] for service in SERVICES}
        self.requests: list[httpx.Request] = []
        self.asked_since: list[float | None] = []
        self.state: dict[str, Any] = {"status": "SUCCESS", "result": {"var_amount": 1202.15}, "error": None}

    def status(self) -> dict[str, str]:
        return dict.fromkeys(SERVICES, "running")

    def logs(self, since: float | None = None) -> dict[str, list[str]]:
        self.asked_since.append(since)
        return self.texts

    def password(self, role: str, what: str = "redis") -> str:
        return f"{role}-{what}"

    def write(self, service: str, **fields: Any) -> None:
        line: Line = {"ts": time.time(), "level": "INFO", "service": service, "message": "m", **fields}
        self.texts[service].append(json.dumps(line))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "GET":
            return httpx.Response(200, json={"task_id": TASK_ID, **self.state})
        sent = request.headers["X-Request-ID"]
        for layer, verdict in zip(ladder.LAYERS, ladder.expected(self.mix), strict=True):
            found = {"kept": sent, "replaced": "0" * 32, "missing": None}[verdict]
            fields: dict[str, Any] = {"hop": layer.hop, "correlation_id": found, "at": f"{layer.file}:12"}
            if layer.hop in ("queue-service", "worker"):
                fields["task_id"] = TASK_ID
            if layer.hop == "nginx":
                fields |= {"method": "POST", "request_time": 0.0}
            self.write(SERVICE_OF.get(layer.hop, "fastapi-server-1"), **fields)
        self.write("celery-worker-1", message="VaR COMPLETE", task_id=TASK_ID, duration_ms=18.8)
        echoed = sent if self.mix[0] == "1" else "0" * 32
        return httpx.Response(201, json={"task_id": TASK_ID, "status": "PENDING"}, headers={"X-Request-ID": echoed})
