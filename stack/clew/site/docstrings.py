"""The Python reference as Markdown: what people import, its signatures and docstrings, read without importing it."""

from __future__ import annotations

import ast
import inspect

import griffe

import clew
from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import STACK


def imported_by_stages() -> list[str]:
    """Return what the files of the fixed stage import from taskqueue, as dotted names."""
    found = set()
    for path in ladder.FIXED.folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "taskqueue":
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return sorted(found)


def names(package: str) -> list[str]:
    """Return the dotted names that the reference of a package describes.

    Raises:
        ClewError: the site has no reference of that package.
    """
    if package == "taskqueue":
        return imported_by_stages()
    if package == "clew":
        return [f"{module}.{name}" for name, module in clew.FACADE.items()]
    raise ClewError(f"There is no reference of {package}.", "choose clew or taskqueue")


def reference(package: str) -> str:
    """Return the Markdown for what people import from a package."""
    root = griffe.load(package, search_paths=[STACK])
    parts = []
    for name in names(package):
        found = root[name.partition(".")[2]]
        shown = f"clew.{found.name}" if package == "clew" else name
        parts += _described(found, shown, 2)
        for member in found.members.values():
            if member.is_alias or member.name.startswith("_") or not (found.is_class or found.is_module):
                continue
            if (member.is_function or member.is_class) and member.docstring:
                parts += _described(member, f"{shown}.{member.name}", 3)
    return "\n".join(parts)


def _described(found: griffe.Object | griffe.Alias, name: str, level: int) -> list[str]:
    """Return a heading, the signature and the docstring; a `Raises:` section becomes a list."""
    parts = [f"{'#' * level} `{name}`", ""]
    called = found.members.get("__init__") if found.is_class else found
    if isinstance(called, griffe.Function):
        parts += ["```python", f"{name}{_signature(called)}", "```", ""]
    text = inspect.cleandoc(found.docstring.value) if found.docstring else ""
    for line in text.splitlines():
        if line.rstrip(":") in ("Args", "Raises", "Returns", "Attributes"):
            parts += [f"**{line.rstrip(':')}**", ""]
        elif line.startswith("    "):
            parts.append(f"- {line.strip()}" if not line.startswith("     ") else f"  {line.strip()}")
        else:
            parts.append(line)
    return [*parts, ""]


def _signature(function: griffe.Function) -> str:
    shown = []
    for parameter in function.parameters:
        if parameter.name == "self":
            continue
        default = f" = {parameter.default}" if parameter.default is not None else ""
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        shown.append(f"{parameter.name}{annotation}{default}")
    returns = f" -> {function.returns}" if function.returns and function.name != "__init__" else ""
    return f"({', '.join(shown)}){returns}"
