"""Three ways to carry an ID on a page: the recorded comparison as tables and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence

from clew.lab import recordings
from clew.lab.ways import compare, experiment, folder
from clew.lab.ways.compare import Comparison
from clew.show import svg


def seen() -> Comparison:
    return Comparison.from_json(recordings.load("ways"))


def table() -> str:
    """Return the whole comparison."""
    return _table(compare.HEAD, seen().rows())


def headers() -> str:
    """Return what became of the headers of four clients."""
    return _table(compare.HEADERS_HEAD, compare.headers(seen().trials[-1].heard))


def waterfall() -> str:
    """Return the spans of the request that was traced with OpenTelemetry, below what client and nginx saw."""
    bars = experiment.waterfall(seen().trials[-1])
    rows = [[bar.where, bar.what, f"{bar.start:.1f} ms", f"{bar.end - bar.start:.1f} ms"] for bar in bars]
    return f"{svg.bars(bars)}\n\n{_table(('service', 'span', 'begins', 'takes'), rows)}"


def line() -> str:
    """Return the line that the worker wrote when it started the task, with both IDs."""
    lines = seen().trials[-1].run.lines
    found = next(line for line in lines if line.get("hop") == "worker")
    return f"```json\n{json.dumps(found, indent=1)}\n```"


def cost() -> str:
    """Return the cost of a POST in words."""
    of = {one.name: one for one in seen().costs}
    ratios = ", ".join(f"{of[name].ratio:.2f} for {name}" for way, name in folder.WAYS.items() if way != folder.BY_HAND)
    first, *_, again = seen().costs
    return (
        f"By hand, a POST takes {first.microseconds / 1000:.1f} ms of CPU time in the API. The ratio to that is "
        f"{ratios}; and {again.ratio:.2f} for by hand in a second process, which is what chance does."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
