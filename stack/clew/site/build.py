"""All pages of the site."""

from __future__ import annotations

import click

from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.site import notebooks, quoting, recorded, reference
from clew.site.markers import Site, fill

DOCS = ROOT / "docs"
SOURCES = (
    "stages/*/**/*",
    "stack/clew/**/*.py",
    "stack/clew/ladder/*.toml",
    "stack/taskqueue/**/*",
    "stack/nginx/*.conf",
    "stack/redis/*",
    "stack/prometheus/*.yml",
    "stack/logstore/*.yaml",
    "stack/logstore/*.json",
    "stack/kubernetes/**/*.yaml",
    "stack/kubernetes/*.sh",
    "stack/swarm/*",
    "stack/ways/**/*.py",
    "stack/compose.yaml",
    "tests/questions/*.py",
    "Makefile",
)


def build(commands: click.Group, repository: str = "") -> dict[str, str]:
    """Return the text of every generated page by its path relative to `docs/`: Markdown, and one JSON file.

    `commands` is the command line that the reference describes. With `repository`, the address of the repository, the
    start page shows how to clone it and each file's page links to the file there.

    Raises:
        ClewError: something that a page shows is missing, or a recording is older than the code.
    """
    recorded.load.cache_clear()
    reference.ask_api.cache_clear()
    written = {str(path.relative_to(DOCS)): path.read_text() for path in sorted(DOCS.rglob("*.md"))}
    sources = {quoting.source_page(path): quoting.source_markdown(path, repository) for path in source_files()}
    lessons = {notebooks.page(path): notebooks.markdown(path) for path in notebooks.paths()}
    site = Site(commands, repository, frozenset([*written, *sources, *lessons]))
    filled = {path: fill(text, path, site) for path, text in written.items()}
    linked = {path: notebooks.linked(text, path, site.pages) for path, text in lessons.items()}
    return {**filled, **linked, **sources, "reference/openapi.json": reference.openapi_json()}


def source_files() -> list[str]:
    """Return the files that have a page of their own, relative to the top of the repository.

    Raises:
        ClewError: a pattern finds no file.
    """
    found = set()
    for pattern in SOURCES:
        paths = [path for path in ROOT.glob(pattern) if path.is_file()]
        if not paths:
            raise ClewError(f"No file matches {pattern}.", "correct SOURCES in stack/clew/site/build.py")
        found |= {path.relative_to(ROOT) for path in paths}
    left_out = {"__pycache__", "README.md", ".env"}
    return sorted(str(path) for path in found if not left_out & set(path.parts))
