"""One ID, and the time of each hop, in a million lines of nine services: `make logs ID=`, SQL, and what a shell can."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import Bench, Json, Ratio, Variants

from clew import ladder
from clew.evidence import logs, sql
from clew.stacks.drivers.local import logfiles
from clew.stacks.services import API_SERVERS, NGINX, REDIS, SERVICES, WORKERS

LINES = int(os.environ.get("LINES_OF_LOGS", "1000000"))
PER_REQUEST = 8
# What a shell can do: the lines of all hops by ID and time, and the time since the line before with the same ID.
SHELL_HOPS = r"""cat *.log | grep '"hop"' |
sed -E 's/.*"ts": ?([0-9.]+).*"hop": ?"([a-z-]+)".*"correlation_id": ?"([^"]+)".*/\3 \1 \2/' | sort -k1,1 -k2,2n |
awk '$1 == id { n[$3]++; ms[$3] += $2 - at } { id = $1; at = $2 } END { for (h in n) print h, ms[h] * 1e3 / n[h] }'"""
SQL_HOPS = """SELECT hop, avg(ms) FROM (
    SELECT hop, (ts - lag(ts) OVER (PARTITION BY correlation_id ORDER BY ts)) * 1000 AS ms FROM hops) GROUP BY hop"""


def write(folder: Path) -> tuple[dict[str, Path], str]:
    """Write LINES lines of nine services into a folder; return the files and an ID that is in them."""
    randoms = random.Random(7)  # noqa: S311 - the same lines each time
    files = {service: folder / f"{service}.log" for service in SERVICES}
    opened = {service: file.open("w") for service, file in files.items()}
    when = 1.8e9
    for number in range(LINES // PER_REQUEST):
        when += 0.01
        sent, task = f"TRACE-{number}", f"{randoms.getrandbits(128):032x}"
        server, worker = randoms.choice(API_SERVERS), randoms.choice(WORKERS)
        request = {"request_id": sent, "method": "POST", "path": "/api/v1/tasks"}
        steps: list[tuple[str, dict[str, Any]]] = [(server, {"message": "Request started: POST", **request})]
        for hop in ladder.HOPS:
            service = NGINX if hop == "nginx" else worker if hop == "worker" else server
            fields = {"hop": hop, "correlation_id": sent, "at": "services/queue_service.py:30", "task_id": task}
            steps.append((service, {"message": f"Handing on from {hop}", **fields}))
        steps.append((server, {"message": "Request completed: 201", **request, "duration_ms": 3.2}))
        steps.append((worker, {"message": "VaR COMPLETE", "task_id": task, "correlation_id": sent, "duration_ms": 9.1}))
        for step, (service, fields) in enumerate(steps):
            ts = round(when + step * 0.001 + randoms.random() / 2000, 6)
            line = {"ts": ts, "level": "INFO", "service": service, **fields}
            opened[service].write(json.dumps(line) + "\n")
    opened[REDIS].write("1:M 24 Nov 2026 10:00:00.000 * Ready to accept connections\n")
    for file in opened.values():
        file.close()
    return files, f"TRACE-{LINES // PER_REQUEST // 2}"


@contextlib.contextmanager
def opened(facts: Json) -> Iterator[Variants]:
    with tempfile.TemporaryDirectory() as folder:
        files, wanted = write(Path(folder))
        began = time.perf_counter()
        connection = sql.database(files)
        facts |= {"lines": LINES, "seconds to load the table once": round(time.perf_counter() - began, 2)}

        class Files:
            """A driver of which only the logs are asked."""

            def logs(self) -> dict[str, list[str]]:
                return {service: logfiles.lines(file) for service, file in files.items()}

        def python() -> Any:
            return logs.search(Files(), wanted)  # type: ignore[arg-type]

        def shell(command: str) -> Callable[[], float]:
            environment = {**os.environ, "LC_ALL": "C"}
            return _timed(
                lambda: subprocess.run(
                    ["sh", "-c", command], cwd=folder, check=True, capture_output=True, env=environment
                )
            )

        grep = f"grep -hw {wanted} *.log | sort -t: -k2"
        yield {
            "logs ID=": _timed(python),
            "SQL": _timed(lambda: sql.ask(connection, f"FROM request('{wanted}')", "")),
            "grep": shell(grep),
            "grep again": shell(grep),
            "hops in SQL": _timed(lambda: sql.ask(connection, SQL_HOPS, "")),
            "hops in a shell": shell(SHELL_HOPS),
        }


def _timed(action: Callable[[], Any]) -> Callable[[], float]:
    def round_() -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    return round_


BENCH = Bench(
    "logs",
    "Finding one ID, and the time of each hop, in a million lines of nine services",
    "s",
    opened,
    (
        Ratio("logs ID= ÷ grep and sort", "logs ID=", "grep", 0.8),
        Ratio("SQL ÷ grep and sort", "SQL", "grep"),
        Ratio("time of each hop: SQL ÷ shell", "hops in SQL", "hops in a shell"),
    ),
    ("grep", "grep again"),
    rounds=7,
    short=1,
    warm=0,
)
