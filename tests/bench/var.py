"""Value at risk with 100,000 paths, compared with nothing but drawing the random numbers for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from children import child
from harness import Bench, Json, Ratio, Variants

DRAWS = """
import numpy as np
rng = np.random.default_rng(7)
def before():
    pass
async def once():
    rng.standard_normal((100_000, 4))
"""
VAR = """
from taskqueue import risk
POSITIONS = [{"symbol": f"S{n}", "quantity": 100.0, "price": 150.0} for n in range(4)]
def before():
    pass
async def once():
    risk.calculate_var({"positions": POSITIONS}, simulations=100_000, seed=7)
"""


@contextlib.contextmanager
def opened(facts: Json) -> Iterator[Variants]:
    one = {"OPENBLAS_NUM_THREADS": "1"}
    with child(VAR, 10, **one) as var, child(DRAWS, 20, **one) as draws, child(DRAWS, 20, **one) as again:
        yield {"VaR": var, "draws": draws, "draws again": again}


BENCH = Bench(
    "var",
    "CPU time of a VaR of four positions with 100,000 paths, compared with NumPy's draws for it",
    "µs CPU",
    opened,
    (Ratio("VaR ÷ draws", "VaR", "draws", 1.5),),
    ("draws", "draws again"),
)
