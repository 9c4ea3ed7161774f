"""HTML fragments from templates, everything in them escaped, and the addresses of pages as the site has them."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> Markup:
    """Return a fragment of HTML; every value that is not `Markup` is escaped."""
    return Markup(ENVIRONMENT.get_template(template).render(**values).strip())  # noqa: S704


def address(path: str) -> str:
    """Return the address of a page from the top of the site: `journey/stage-3.md` is at `journey/stage-3/`."""
    folder, name = posixpath.split(path)
    return folder if name == "index.md" else posixpath.join(folder, name.removesuffix(".md"))


def relative(path: str, from_path: str) -> str:
    """Return the relative address of a page, as HTML on another page has to name it."""
    return posixpath.relpath("/" + address(path), "/" + address(from_path)) + "/"
