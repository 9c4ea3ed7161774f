"""What a run leaves in `.clew/drills`: numbers, logs, requests, and a picture. `latest` points to the newest."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clew.core.paths import STATE
from clew.drills.model import Request, Result

FOLDER = STATE / "drills"


def new_folder(name: str, on: str, seed: int, began: float) -> Path:
    """Make the folder of a run and let `latest` point to it."""
    moment = datetime.fromtimestamp(began, UTC).strftime("%Y%m%dT%H%M%S")
    folder = FOLDER / f"{moment}-{name}-{on}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = FOLDER / f"latest.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(FOLDER / "latest")
    return folder


def save_logs(folder: Path, texts: Mapping[str, Sequence[str]]) -> None:
    """Write each service's log, compressed."""
    (folder / "logs").mkdir(exist_ok=True)
    for service, lines in texts.items():
        with gzip.open(folder / "logs" / f"{service}.log.gz", "wt", compresslevel=3, encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


def save_requests(folder: Path, requests: Iterable[Request]) -> None:
    """Write one line of JSON for each request, with its attempts."""
    with (folder / "requests.jsonl").open("w") as file:
        file.writelines(json.dumps(request.to_json()) + "\n" for request in requests)


def save_result(result: Result) -> None:
    (result.folder / "result.json").write_text(json.dumps(result.to_json(), indent=1, default=str) + "\n")


def last_results() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the newest result of each drill and setting, by name and `on`."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*/result.json")):
        if path.parent.is_symlink():
            continue
        result = json.loads(path.read_text())
        found[result["name"], result["on"]] = result
    return found
