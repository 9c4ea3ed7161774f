"""Clew: send one request into nine containers, see where its correlation ID is lost, thread it back."""

from typing import Any

NOTEBOOK = ("Stage", "lattice", "predict", "replay")


def __getattr__(name: str) -> Any:
    # Only notebooks need these, and importing them would make every command slower.
    if name in NOTEBOOK:
        from clew.lab import notebook

        return getattr(notebook, name)
    if name == "SERVICES":
        from clew.stacks.services import SERVICES

        return SERVICES
    if name == "ReceiversFirst":
        from clew.lab.receivers import ReceiversFirst

        return ReceiversFirst
    if name == "check":
        from clew.lab.exercises import check

        return check
    raise AttributeError(f"module 'clew' has no attribute {name!r}")
