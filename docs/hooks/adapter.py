"""Hands the pages of `clew.site` to MkDocs, which makes them a site. MkDocs is known only here and in mkdocs.yml."""

from __future__ import annotations

import os
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from clew import site
from clew.cli import cli
from clew.core.errors import ClewError

os.environ.pop("CLEW_PORTS", None)  # the commands on the site use the usual ports


def on_files(files: Any, config: Any) -> Any:
    """Replace the written pages by the generated ones, and put the notebooks into the navigation."""
    try:
        pages = site.build(cli, config.extra["repository"])
    except ClewError as error:
        raise PluginError(str(error)) from None
    for path, text in pages.items():
        if written := files.get_file_from_path(path):
            files.remove(written)
        files.append(File.generated(config, path, content=text))
    for entry in config.nav:
        if "The notebooks" in entry:
            lessons = sorted(path for path in pages if path.startswith("notebooks/"))
            entry["The notebooks"] = sorted(lessons, key=lambda path: not path.endswith("index.md"))
    return files


def on_post_page(output: str, **_: Any) -> str:
    """Give the theme's search dialog the name that a screen reader needs."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
