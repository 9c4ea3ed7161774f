from pathlib import Path
from typing import Any

import fakeredis
import pytest

import bootstrap
from clew import ladder
from clew.core import paths
from clew.evidence.trace import Hop, Run, where_it_ends
from taskqueue import broker
from taskqueue.reliability import breaker


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty checkout, whose path contains a space, in place of this one."""
    root = tmp_path / "a checkout"
    root.mkdir()
    places = {"ROOT": root, "STACK": root / "stack", "SETUP": root / ".clew", "CACHE": root / ".clew/cache"}
    for name, place in places.items():
        monkeypatch.setattr(paths, name, place)
    monkeypatch.setattr(bootstrap, "ROOT", str(root))
    monkeypatch.delenv("CLEW_COMMAND", raising=False)
    return root


@pytest.fixture
def usual_ports(monkeypatch):
    """The ports that a person has: what is shown names no others."""
    for name in ("CLEW_PORTS", "PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A docker command that writes down what it is asked and then runs the given shell lines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(lines: str) -> Path:
        program = folder / "docker"
        program.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/asked"\n{lines}\n')
        program.chmod(0o755)
        (tmp_path / "asked").touch()
        return tmp_path / "asked"

    return install


@pytest.fixture
def write():
    """Write a text into a file and return its path; its folders are created."""

    def write_text(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_text


@pytest.fixture
def run_of(tmp_path):
    """Build a traced run by hand: `run_of("11100", ["kept", …])` on the stage of that mix, or as given."""

    def build(mix: str, verdicts: list[str], **fields: Any) -> Run:
        sent = fields.setdefault("sent_id", "MY-TRACE-123")
        services = ["nginx-loadbalancer", *["fastapi-server-2"] * 3, "celery-worker-1"]
        ids = {"kept": sent, "replaced": "0f" * 16}
        hops = [
            Hop(hop, verdict, ids.get(verdict), service, ms, f"some.py:{20 + n}")
            if verdict != "unknown"
            else Hop(hop, verdict, candidates=2)
            for n, (hop, verdict, service, ms) in enumerate(
                zip(ladder.HOPS, verdicts, services, [0.6, 3.1, 3.3, 3.6, 9.8], strict=True)
            )
        ]
        worker = {"ts": 1000.085, "service": "celery-worker-1", "message": "VaR COMPLETE", "duration_ms": 75.2}
        stage = next((stage for stage in ladder.STAGE_LIST if stage.mix == mix), None)
        given = {
            "stage": stage.number if stage else None,
            "mix": mix,
            "folder": f"stages/{stage.slug}" if stage else ".clew/mix",
            "driver": "local",
            "answered_id": sent,
            "task_id": "64cecbac-6e28-4001-b1a7-000000000000",
            "status": "SUCCESS",
            "sent_at": 1000.0,
            "answered_ms": 4.7,
            "result": {"var_amount": 1234.5},
            "error": None,
            "hops": hops,
            "lines": [worker],
        }
        given = {**given, **fields}
        if "ends_in" not in fields:
            ladder.write_mix(mix.replace(ladder.EDITED, "0"), tmp_path / "ran")
            given["ends_in"] = where_it_ends(hops, tmp_path / "ran", given["folder"])
        return Run(**given)

    return build


@pytest.fixture
def redis(monkeypatch):
    """A Redis in this process, empty, in place of the one that the services ask."""
    client = fakeredis.FakeRedis(server=fakeredis.FakeServer(), decode_responses=True)
    monkeypatch.setattr(broker, "client", client)
    monkeypatch.setattr(breaker, "MEMORY_SHARE", 0)  # this Redis does not know INFO; the one in tests/lua does
    breaker._redis.reset()
    return client
