"""How long nine containers take until all nine are ready: Clew's compose file compared with a bare one, alternately.

Both are asked over their ports by the same function. For Clew's it is also told when Docker calls all nine healthy.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Bench, Json, Ratio, Variants

from clew import provision
from clew.core.wait import wait_until
from clew.stacks.ready import wait_ready
from clew.stacks.services import NGINX
from clew.stacks.stack import Stack, checkout_mark, ports_of, stage_stack


def compose(folder: Path, project: str, *arguments: str) -> None:
    environment = {**os.environ, "BENCH_PORTS": str(ports_of("bench")[NGINX] // 10)}
    command = ["docker", "compose", "--project-directory", str(folder), "--project-name", project, *arguments]
    subprocess.run(command, check=True, timeout=180, capture_output=True, env=environment)


def healthy(project: str) -> int:
    answer = subprocess.run(
        ["docker", "ps", "--filter", f"name={project}-", "--filter", "health=healthy", "--quiet"],
        check=True, timeout=20, capture_output=True, text=True,
    )  # fmt: skip
    return len(answer.stdout.split())


def measure(stack: Stack, project: str, has_checks: bool) -> tuple[float, float]:
    """Return the seconds until all nine are ready, and until Docker calls all nine healthy (0 without checks)."""
    began = time.monotonic()
    try:
        compose(stack.folder, project, "up", "--detach")
        wait_ready(stack)
        ready = time.monotonic() - began
        if has_checks:
            wait_until(lambda: healthy(project) == 9, 60, "nine healthy containers", "docker ps")
        return ready, time.monotonic() - began if has_checks else 0.0
    finally:
        compose(stack.folder, project, "down", "--volumes", "--timeout", "5")


@contextlib.contextmanager
def opened(facts: Json) -> Iterator[Variants]:
    provision.ensure_compose(print)
    provision.ensure_stack_image(print)
    bare = Stack("bench", "bench", Path(__file__).parent, ports_of("bench"))
    healthy_seconds = []

    def clew_up() -> float:
        ready, nine_healthy = measure(stage_stack(5), f"clew-bench-{checkout_mark()}", has_checks=True)
        healthy_seconds.append(nine_healthy)
        return ready

    def bare_up() -> float:
        return measure(bare, f"clew-bare-{checkout_mark()}", has_checks=False)[0]

    yield {"bare": bare_up, "clew": clew_up, "bare again": bare_up}
    facts["seconds until Docker calls all nine healthy"] = round(statistics.median(healthy_seconds), 1)


BENCH = Bench(
    "up",
    "Time until nine containers answer: stack/compose.yaml, and the same nine with nothing around them",
    "s",
    opened,
    (Ratio("clew ÷ bare", "clew", "bare", 1.3),),
    ("bare", "bare again"),
    rounds=5,
    short=1,
    warm=0,
)
