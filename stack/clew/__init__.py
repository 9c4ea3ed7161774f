"""Clew: send one request into nine containers, see where its correlation ID is lost, and pass it on again."""

from importlib import import_module
from typing import Any

# What notebooks call, by the module that has it: loaded when first used, because every command would start slower.
FACADE = {
    "Stage": "clew.lab.stage",
    "replay": "clew.lab.stage",
    "lattice": "clew.lab.results",
    "predict": "clew.lab.results",
    "ReceiversFirst": "clew.lab.receivers",
    "Busy": "clew.lab.busy",
    "Promise": "clew.lab.promise",
    "ThreeWays": "clew.lab.ways.experiment",
    "check": "clew.lab.exercises",
    "SERVICES": "clew.stacks.services",
}


def __getattr__(name: str) -> Any:
    if name not in FACADE:
        raise AttributeError(f"module 'clew' has no attribute {name!r}")
    return getattr(import_module(FACADE[name]), name)
