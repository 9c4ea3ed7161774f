"""What the parts of a POST on stage 5 cost: each is left out in a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from children import POST, SILENT, child, redis
from harness import Bench, Json, Ratio, Variants

UNCOUNTED = """
from taskqueue import metrics
for name in ("count_nginx", "count_request", "count_hand_off_of_request"):
    setattr(metrics, name, lambda *_: None)
"""
STAGE_0, STAGE_5 = "00-as-found", "05-worker"


def _opened(**others: tuple[str, str, str]) -> Callable[[Json], AbstractContextManager[Variants]]:
    """Return what opens stage 5 twice and each of the others: its code, its stage, and its settings."""

    @contextlib.contextmanager
    def opened(facts: Json) -> Iterator[Variants]:
        wanted = {"stage_5": (POST, STAGE_5, "durable"), "stage_5_again": (POST, STAGE_5, "durable"), **others}
        with redis() as port, contextlib.ExitStack() as stack:
            yield {
                name.replace("_", " "): stack.enter_context(
                    child(code, 40, stage, REDIS_URL=f"redis://127.0.0.1:{port}/0", SETTINGS=settings)
                )
                for name, (code, stage, settings) in wanted.items()
            }

    return opened


def _bench(name: str, title: str, ratios: tuple[Ratio, ...], **others: tuple[str, str, str]) -> Bench:
    return Bench(name, title, "µs CPU", _opened(**others), ratios, ("stage 5", "stage 5 again"), warm=4)


LINES = _bench(
    "lines",
    "CPU time of a POST with its log lines and its ID, and without",
    (Ratio("lines", "stage 5", "no lines"), Ratio("ID and lines", "stage 5", "neither", 1.06)),
    no_lines=(POST + SILENT, STAGE_5, "durable"),
    neither=(POST + SILENT, STAGE_0, "durable"),
)
STAGES = _bench(
    "stages",
    "CPU time of a POST on stage 5, which passes the ID on, and on stage 0, which does not",
    (Ratio("stage 5 ÷ stage 0", "stage 5", "stage 0", 1.05),),
    stage_0=(POST, STAGE_0, "durable"),
)
LEDGER = _bench(
    "ledger",
    "CPU time of a POST with the ledger and without (the stock settings)",
    (Ratio("with ÷ without", "stage 5", "stock", 1.10),),
    stock=(POST, STAGE_5, "stock"),
)
METRICS = _bench(
    "metrics",
    "CPU time of a POST that is counted for Prometheus, and of one that is not",
    (Ratio("counted ÷ not counted", "stage 5", "not counted", 1.05),),
    not_counted=(POST + UNCOUNTED, STAGE_5, "durable"),
)
