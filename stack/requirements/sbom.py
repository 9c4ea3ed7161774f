"""Write which Python packages the services run as a CycloneDX file: `make sbom`.

cyclonedx-py adds the address of a package index to each package, and the lock file's line. Neither says what the
package is, and the address may be that of a mirror; both are left out. What the image has from Debian is not in this
file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "stack/requirements/run.txt"
FILE = ROOT / "dist/clew.cdx.json"


def sbom() -> dict[str, Any]:
    """Return the packages of the group `run` as a CycloneDX 1.6 document without addresses.

    Raises:
        SystemExit: cyclonedx-py could not read the lock file.
    """
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--spec-version", "1.6", "--output-reproducible"]
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(PACKAGES), *options, "--no-validate"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cyclonedx-py failed:\n{done.stderr.strip()}\nNext: make lock")
    document: dict[str, Any] = json.loads(done.stdout)
    for component in (*document["components"], *document["metadata"]["tools"]["components"]):
        component.pop("externalReferences", None)
        component.pop("description", None)
    return document


def main() -> None:
    """Write the file; it is complete and valid, or not there."""
    text = json.dumps(sbom(), indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"The SBOM is not valid CycloneDX 1.6: {error}\nNext: make lock")
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text)
    print(f"{FILE.relative_to(ROOT)}: {len(json.loads(text)['components'])} packages")


if __name__ == "__main__":
    main()
