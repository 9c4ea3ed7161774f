"""What nginx adds to the median time of a POST: through it, and to the three servers in turn without it."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator

from harness import Bench, Json, Ratio, Variants

from clew.drills.load import rehearsal
from clew.load.run import drain
from clew.stacks import lifecycle
from clew.stacks.services import API_SERVERS
from clew.stacks.stack import stage_stack

POSTS = 60  # a round; below what may wait
BODY = json.dumps(rehearsal())
HEADERS = {"Content-Type": "application/json"}


@contextlib.contextmanager
def opened(facts: Json) -> Iterator[Variants]:
    stack = stage_stack(5)

    def posts(ports: list[int]) -> Callable[[], float]:
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for port in ports]

        def round_() -> float:
            drain(stack)
            return statistics.median(_post(one) for one in itertools.islice(itertools.cycle(connections), POSTS))

        return round_

    with lifecycle.borrowed(stack, print) as started:
        facts["driver"] = started.driver.name
        servers = [stack.ports[server] for server in API_SERVERS]
        yield {"nginx": posts([stack.port]), "direct": posts(servers), "direct again": posts(servers)}


def _post(connection: http.client.HTTPConnection) -> float:
    """Return the milliseconds of one POST on a connection that stays open."""
    began = time.perf_counter()
    connection.request("POST", "/api/v1/tasks", BODY, HEADERS)
    answer = connection.getresponse()
    answer.read()
    ms = (time.perf_counter() - began) * 1000
    assert answer.status == 201, f"A POST was answered with {answer.status}: the machine is too busy to measure."
    return ms


BENCH = Bench(
    "nginx",
    "Median time of a POST through nginx, compared with the same three servers without it; one client",
    "ms",
    opened,
    (Ratio("nginx ÷ direct", "nginx", "direct", 1.12),),
    ("direct", "direct again"),
    rounds=40,
    short=6,
)
