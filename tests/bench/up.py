"""How long nine containers take until all nine are ready: Clew's compose file compared with a bare one, alternately.

Both are asked over their ports by the same function. For Clew's it also prints when Docker calls all nine healthy.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["CLEW_PORTS"] = os.environ.get("CLEW_TEST_PORTS", "290")

from clew import provision
from clew.core.errors import ClewError
from clew.core.wait import wait_until
from clew.stacks.ready import wait_ready
from clew.stacks.services import NGINX
from clew.stacks.stack import Stack, checkout_mark, ports_of, stage_stack

ROUNDS = 5
GOAL = 1.3


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


def main() -> None:
    try:
        provision.ensure_compose(print)
        provision.ensure_stack_image(print)
    except ClewError as error:
        sys.exit(str(error))
    clew = stage_stack(5)
    bare = Stack("bench", "bench", Path(__file__).parent, ports_of("bench"))
    rows = []
    for turn in range(1, ROUNDS + 1):
        bare_ready, _ = measure(bare, f"clew-bare-{checkout_mark()}", has_checks=False)
        ready, nine_healthy = measure(clew, f"clew-bench-{checkout_mark()}", has_checks=True)
        rows.append((bare_ready, ready, nine_healthy))
        print(f"round {turn}: bare {bare_ready:.1f} s, clew {ready:.1f} s (docker says healthy: {nine_healthy:.1f} s)")
    bare_median, median, healthy_median = (statistics.median(column) for column in zip(*rows, strict=True))
    ready_ratio = statistics.median(row[1] / row[0] for row in rows)
    healthy_ratio = statistics.median(row[2] / row[0] for row in rows)
    print(f"medians: bare ready {bare_median:.1f} s, clew ready {median:.1f} s, clew healthy {healthy_median:.1f} s")
    print(
        f"median of {ROUNDS} pairs: ready / bare {ready_ratio:.2f}, healthy / bare {healthy_ratio:.2f} (goal: {GOAL})"
    )


if __name__ == "__main__":
    main()
