"""Another caller of the learner's layer, as a program of its own: it hands over the same data twice, first with an ID,
then as a caller does that knows of none. Prints the result as JSON.

    python caller.py FOLDER task-service|queue-service ID
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

SAMPLE = {"portfolio_data": {"positions": [{"symbol": "AAPL", "quantity": 10, "price": 150.0}]}, "seed": 7}


def call(folder: Path, hop: str, sent_id: str) -> dict[str, Any]:
    """Return what the layer returned to each of the two (`returned`), and why a call failed, if one did (`error`)."""
    sys.path.insert(0, str(folder / "fastapi-app"))
    data = json.loads(json.dumps(SAMPLE))
    returned: list[Any] = []
    error = ""
    try:
        if hop == "task-service":
            layer = importlib.import_module("services.task_service").create_task
            arguments: tuple[Any, ...] = ("calculate_var", data, "high")
        else:
            layer = importlib.import_module("services.queue_service").submit_task
            arguments = ("tasks.calculate_var", data, "high")
        for more in ({"correlation_id": sent_id}, {}):
            returned.append(layer(*arguments, **more))
    except Exception as problem:  # noqa: BLE001 - a learner's code may raise anything, and it is to be told
        error = f"{type(problem).__name__}: {problem}"
    return {"returned": [one if isinstance(one, str | None) else repr(one) for one in returned], "error": error}


if __name__ == "__main__":
    print(json.dumps(call(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
