"""`make bench`: all measurements in short form, `NAME=post` one. `ROUNDS=40` repeats more, `RECORD=1` is for the site.

Exit code 0, or 1 when a goal is missed, 2 when a measurement is void or was not run.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["CLEW_PORTS"] = os.environ.get("CLEW_TEST_PORTS", "290")  # a stack that is up is left alone
os.environ.setdefault("DRIVER", "local")

import harness
import ids
import logs
import post
import posts
import spike
import up
import var

import nginx
from clew.core.errors import ClewError
from clew.core.paths import STATE, shown
from clew.site import benched

BENCHES = {
    one.name: one
    for one in (
        post.BENCH, ids.BENCH, posts.LINES, posts.STAGES, posts.LEDGER, posts.METRICS, nginx.BENCH, spike.BENCH,
        logs.BENCH, var.BENCH, up.BENCH,
    )
}  # fmt: skip
assert tuple(BENCHES) == benched.NAMES


def main(name: str, rounds: int, record: bool) -> int:
    """Run one measurement, or all; print and save each; return the exit code."""
    if name and name not in BENCHES:
        raise ClewError(f"There is no measurement {name!r}; there are {', '.join(BENCHES)}.", "make bench")
    codes = set()
    for bench in [BENCHES[name]] if name else BENCHES.values():
        print(f"{bench.name}: {bench.title} …", file=sys.stderr, flush=True)
        try:
            result = harness.measure(bench, rounds or (bench.rounds if record else bench.short))
        except (ClewError, AssertionError, SystemExit) as error:
            print(f"{bench.name}: not run\n{error}", flush=True)
            codes.add(2)
            continue
        missed = harness.missed(result)
        print("\n".join(harness.lines(result)))
        print(f"  Goal missed: {', '.join(missed)}" if missed and not result["void"] else "", flush=True)
        save(result, record)
        codes.add(2 if result["void"] else int(bool(missed)))
    return max(codes)


def save(result: harness.Json, record: bool) -> None:
    """Keep a result in .clew/bench; one that is to be recorded and shows something also where the site finds it."""
    folders = [STATE / "bench"]
    if record and not result["void"]:
        folders.append(benched.RESULTS)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{result['name']}.json"
        file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        print(f"  Saved: {shown(file)}", flush=True)
    if record and result["void"]:
        print("  Not recorded: the run shows nothing.")


if __name__ == "__main__":
    try:
        sys.exit(
            main(
                os.environ.get("CLEW_NAME", ""),
                int(os.environ.get("ROUNDS") or 0),
                bool(os.environ.get("CLEW_RECORD")),
            )
        )
    except ClewError as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    except ValueError:
        sys.exit(f"ROUNDS is {os.environ['ROUNDS']!r}; it must be a whole number.\nNext: make bench ROUNDS=20")
