"""Change the code in small ways, one at a time, and find the changes that no unit test notices (mutmut).

    make mutants                                   taskqueue, clew.ladder and clew.evidence
    make mutants MODULES="clew.ladder.table"       one module: a minute or two

mutmut finds packages only at the top or in `src/`, so it works on a copy under `.clew/mutants`, which stays there:
`cd .clew/mutants && ../../.venv/bin/mutmut show NAME` shows a change.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / ".clew/mutants"
MODULES = ("taskqueue", "clew.ladder", "clew.evidence")
FOLDERS = ("stack", "stages", "tests", "docs", "notebooks")
CAUGHT = ("killed", "timeout", "suspicious", "segfault")


def main(modules: list[str]) -> int:
    make_copy()
    write_configuration(modules)
    mutmut = str(ROOT / ".venv/bin/mutmut")
    children = os.environ.get("CHILDREN") or str(os.cpu_count() or 2)
    # A mutant may write anything, so it gets no way to a stack that is up.
    environment = {**os.environ, "CLEW_TEST_PORTS": os.environ.get("CLEW_TEST_PORTS", "290")}
    run = subprocess.run([mutmut, "run", "--max-children", children], cwd=COPY, env=environment, check=False)
    if run.returncode != 0:
        print(f"mutmut stopped with exit code {run.returncode}.\nNext: make test-quick", file=sys.stderr)
        return 2
    survivors = subprocess.run([mutmut, "results"], cwd=COPY, capture_output=True, text=True, check=True).stdout
    subprocess.run([mutmut, "export-cicd-stats"], cwd=COPY, stdout=subprocess.DEVNULL, check=True)
    print("\n" + survivors.rstrip())
    print(score(json.loads((COPY / "mutants/mutmut-cicd-stats.json").read_text())))
    return 0


def make_copy() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "recordings")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, COPY / folder, ignore=ignored if folder != "stack" else None, symlinks=True)
    for package in ("clew", "taskqueue"):
        shutil.copytree(ROOT / "stack" / package, COPY / "src" / package)
    for file in ("README.md", "Makefile"):
        shutil.copy(ROOT / file, COPY / file)


def write_configuration(modules: list[str]) -> None:
    """Add to a copy of pyproject.toml which files are changed; the rest is in `tool.mutmut` there."""
    patterns = []
    for module in modules:
        path = "src/" + module.replace(".", "/")
        patterns.append(f"{path}/*" if (COPY / path).is_dir() else f"{path}.py")
    text = (ROOT / "pyproject.toml").read_text()
    (COPY / "pyproject.toml").write_text(text.replace("[tool.mutmut]", f"[tool.mutmut]\nonly_mutate = {patterns}"))


def score(counts: dict[str, int]) -> str:
    caught = sum(counts.get(name, 0) for name in CAUGHT)
    judged = caught + counts.get("survived", 0) + counts.get("no_tests", 0)
    shown = ", ".join(
        f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count and name != "total"
    )
    return f"{caught} of {judged} changes were noticed: {100 * caught / max(judged, 1):.0f} % ({shown})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(MODULES)))
