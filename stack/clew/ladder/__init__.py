"""The ladder: two written ends, 00 and 05, and every stage and mix between them, derived.

In: `ladder.toml` and the files of stages 00 and 05. Out: layers, stages, mixes, the verdicts to expect, stage folders.
Start reading at `table.py`.
"""

from clew.ladder.files import (
    cause_line,
    changed_layer,
    changed_lines,
    edited_files,
    mix_files,
    mix_of,
    source,
    source_diff,
    write_mix,
)
from clew.ladder.readme import disagreements, readme, rewrite, stage_files
from clew.ladder.table import (
    AS_FOUND,
    EDITED,
    FIXED,
    HOPS,
    LAYERS,
    STAGE_LIST,
    Layer,
    Stage,
    all_mixes,
    checked_mix,
    expected,
    stage,
)

__all__ = [
    "AS_FOUND",
    "EDITED",
    "FIXED",
    "HOPS",
    "LAYERS",
    "STAGE_LIST",
    "Layer",
    "Stage",
    "all_mixes",
    "cause_line",
    "changed_layer",
    "changed_lines",
    "checked_mix",
    "disagreements",
    "edited_files",
    "expected",
    "mix_files",
    "mix_of",
    "readme",
    "rewrite",
    "source",
    "source_diff",
    "stage",
    "stage_files",
    "write_mix",
]
