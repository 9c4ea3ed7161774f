"""Ask pip-audit whether the pinned packages have known vulnerabilities: `make audit`.

Ends with 0 when none is known, 1 when one is, and 2 when a package could not be looked up: then this run shows nothing
about it. pip-audit itself ends with 0 in that case.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FILES = sorted(Path(__file__).parent.glob("*.txt"))
SHOWN = 5  # of packages without an answer


def verdict(answer: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code for what pip-audit wrote as JSON, and the lines that say why."""
    packages = answer["dependencies"]
    unknown = [package for package in packages if "skip_reason" in package]
    known = [(package, one) for package in packages for one in package.get("vulns", [])]
    lines = [
        f"{package['name']} {package['version']}: {one['id']}, fixed in {', '.join(one['fix_versions']) or 'none'}"
        for package, one in known
    ]
    if known:
        lines.append("Next: raise these versions in pyproject.toml, then make lock")
    if unknown:
        names = ", ".join(package["name"] for package in unknown[:SHOWN])
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        lines += [
            f"Not audited: {len(unknown)} of {len(packages)} packages ({names}{more}).",
            f"The first reason: {unknown[0]['skip_reason']}",
            "pip-audit asks the package index, and a mirror may not have what it asks for.",
            "Next: make audit, where the package index itself can be reached",
        ]
    if not lines:
        lines.append(f"No known vulnerability in {len(packages)} packages.")
    return 1 if known else 2 if unknown else 0, lines


def main() -> int:
    """Audit all groups; print the result and return the exit code."""
    files = [word for file in FILES for word in ("--requirement", str(file))]
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, *files], check=False, capture_output=True, text=True
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:  # it could not ask at all
        print(f"pip-audit failed:\n{done.stderr.strip()}\nNext: make audit, with a network")
        return 2
    code, lines = verdict(answer)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
