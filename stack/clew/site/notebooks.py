"""The notebooks as Markdown pages: text as it is, code as code, outputs as they were saved."""

from __future__ import annotations

import html
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.site import quoting, web

FOLDER = ROOT / "notebooks"
STYLE = re.compile(r"(?s)<style>.*?</style>")
LINK = re.compile(r"""(?:\]\(|href=")(?!#|[a-z]+:)([^)"#\s]*)(#[^)"\s]*)?(?=[)"])""")

Cell = dict[str, Any]


def paths() -> list[Path]:
    """Return the notebooks in order.

    Raises:
        ClewError: there are none.
    """
    found = sorted(FOLDER.glob("[0-9]*.ipynb"))
    if not found:
        raise ClewError("There are no notebooks in notebooks/.", "git checkout notebooks")
    return found


def page(path: Path) -> str:
    """Return the path of a notebook's page."""
    return f"notebooks/{path.stem}.md"


def cells(path: Path) -> list[Cell]:
    """Return the cells of a notebook."""
    found: list[Cell] = json.loads(path.read_text())["cells"]
    return found


def title(path: Path) -> str:
    """Return the heading of a notebook."""
    text = "".join(next(cell["source"] for cell in cells(path) if cell["cell_type"] == "markdown"))
    return text.splitlines()[0].lstrip("# ")


def markdown(path: Path) -> str:
    """Return a notebook as the Markdown of its page. What answers a prediction is folded away."""
    parts = ["---", "hide: [toc]", "---", ""]
    style = ""  # every output brings the same one
    for cell in cells(path):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts += [source.replace("<details>", '<details markdown="1">'), ""]
            continue
        parts += ["```python", source, "```", ""]
        for output in cell["outputs"]:
            shown, found = _output(output)
            parts += [shown, ""]
            style = style or found
    return "\n".join([*parts, style, ""])


def _output(output: dict[str, Any]) -> tuple[str, str]:
    """Return a saved output as HTML, and its style sheet, each on one line: no line can be taken for Markdown."""
    data = output.get("data", {})
    style = ""
    if "text/html" in data:
        text = "".join(data["text/html"])
        style = " ".join(_one_line(found) for found in STYLE.findall(text)[:1])
        shown = _one_line(STYLE.sub("", text))
    else:
        text = html.escape("".join(data.get("text/plain", output.get("text", ""))).rstrip("\n"))
        shown = _one_line(f'<pre tabindex="0">{text}</pre>')
    # Search leads to what was written, not to what a run has printed: the index is a third of a first load.
    facts = {key for key in output.get("metadata", {}).get("clew", {}) if key != "replay"}
    if facts:
        return f'<details class="output" data-search-exclude><summary>What it showed</summary>{shown}</details>', style
    return f'<div class="output" data-search-exclude>{shown}</div>', style


def _one_line(text: str) -> str:
    kept = re.sub(r"(?s)<pre.*?</pre>", lambda found: found[0].replace("\n", "&#10;"), text)
    # A header cell that says nothing is an empty cell to a screen reader.
    return kept.replace("\n", " ").replace("<th></th>", "<td></td>").strip()


def linked(text: str, from_page: str, pages: frozenset[str]) -> str:
    """Return a notebook's page with its links, which lead to files of the repository, leading to pages of the site.

    Raises:
        ClewError: a link leads to something that has no page.
    """

    def led(found: re.Match[str]) -> str:
        in_html, path, anchor = found[0][:5] == "href=", found[1], found[2] or ""
        wanted = posixpath.normpath(posixpath.join("notebooks", path))
        for target in (wanted.removeprefix("docs/"), wanted.replace(".ipynb", ".md"), quoting.source_page(wanted)):
            if target in pages and in_html:  # no generator corrects it
                return f'href="{web.relative(target, from_page)}{anchor}'
            if target in pages:
                return "](" + posixpath.relpath(target, posixpath.dirname(from_page)) + anchor
        raise ClewError(f"{from_page}: {path} is not a page of the site.", "correct the link in the notebook")

    return LINK.sub(led, text)
