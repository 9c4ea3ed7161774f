"""The space-time diagram of a drill: services are columns, time runs downwards."""

from __future__ import annotations

from markupsafe import Markup

from clew.drills.model import Result


def drawing(result: Result) -> Markup:
    return Markup('<svg xmlns="http://www.w3.org/2000/svg"/>')
