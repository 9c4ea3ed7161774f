"""The files of each way, laid over a stage, and how many lines of code that takes."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

from clew import ladder
from clew.core.paths import STACK

SOURCES = STACK / "ways"
BY_HAND, CONTEXT, OPENTELEMETRY = "by-hand", "context", "opentelemetry"
WAYS = {
    BY_HAND: "by hand",
    CONTEXT: "context variable + header",
    OPENTELEMETRY: "OpenTelemetry",
}
# All three start from here: nginx keeps the ID, and the layers behind it do not pass it on.
BASE = ladder.stage(1)
CARRY = "carry.py"  # a way's own module: the API servers and the workers have it, each next to their program
PROGRAMS = ("fastapi-app", "celery-worker")
SPANS = "spans"


def write(way: str, folder: Path) -> None:
    """Make `folder` a runnable stage that carries the ID in this way."""
    ladder.write_mix((ladder.FIXED if way == BY_HAND else BASE).mix, folder)
    for program in PROGRAMS:
        (folder / program / CARRY).unlink(missing_ok=True)
    for name, path in files(way).items():
        shutil.copyfile(path, folder / name)
    shutil.rmtree(folder / SPANS, ignore_errors=True)
    (folder / SPANS).mkdir()


def files(way: str) -> dict[str, Path]:
    """Return what is laid over the stage: the path in it, and the file; by hand nothing is."""
    own = SOURCES / way
    found = {str(path.relative_to(own)): path for path in sorted(own.rglob("*.py"))}
    carry = found.pop(CARRY, None)
    return {**found, **({f"{program}/{CARRY}": carry for program in PROGRAMS} if carry else {})}


def changed(way: str) -> dict[str, int]:
    """Return how many lines each file of a way adds to what stage 1 has, or changes; blank lines do not count."""
    if way == BY_HAND:
        paths = {layer.file: ladder.FIXED.folder / layer.file for layer in ladder.LAYERS}
    else:
        paths = files(way)
        paths[CARRY] = paths.pop(f"fastapi-app/{CARRY}")
        del paths[f"celery-worker/{CARRY}"]
    counts = {name: _new_lines(BASE.folder / name, path) for name, path in paths.items()}
    return {name: count for name, count in counts.items() if count}


def _new_lines(before: Path, after: Path) -> int:
    old = before.read_text().splitlines() if before.exists() else []
    lines = difflib.ndiff(old, after.read_text().splitlines())
    return sum(line.startswith("+ ") and bool(line[2:].strip()) for line in lines)
