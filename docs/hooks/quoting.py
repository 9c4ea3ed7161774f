"""Code of the repository, quoted by name: whole files, or regions of them, never by line number and never pasted."""

from __future__ import annotations

import ast
import html
import posixpath
from pathlib import Path

from mkdocs.exceptions import PluginError
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

from clew.core.paths import ROOT

LANGUAGES = {".py": "python", ".conf": "nginx", ".yaml": "yaml", ".toml": "toml", ".json": "json"}


def text_of(path: str) -> str:
    """Return the text of a file of the repository.

    Raises:
        PluginError: it is missing.
    """
    try:
        return (ROOT / path).read_text()
    except OSError:
        raise PluginError(f"There is no {path} to quote.") from None


def region(path: str, name: str) -> tuple[int, int]:
    """Return the first and last line of a function, class or assignment of a Python file, or of a block in braces.

    Raises:
        PluginError: there is no such region.
    """
    text = text_of(path)
    found = _python_region(text, name) if path.endswith(".py") else _brace_region(text, name)
    if found is None:
        raise PluginError(f"{path} has no region {name!r}.")
    return found


def _python_region(text: str, name: str) -> tuple[int, int] | None:
    for node in ast.walk(ast.parse(text)):
        targets = node.targets if isinstance(node, ast.Assign) else ()
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        if getattr(node, "name", None) == name or name in names:
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            return first, node.end_lineno or first
    return None


def _brace_region(text: str, name: str) -> tuple[int, int] | None:
    first, depth = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if not first and line.strip().startswith(name) and "{" in line:
            first = number
        if first:
            depth += line.count("{") - line.count("}")
            if depth == 0:
                return first, number
    return None


def fence(path: str, first: int = 1, last: int | None = None, marked: list[int] | None = None) -> str:
    """Return lines of a file as a fenced block with their numbers; `marked` lines stand out."""
    lines = text_of(path).splitlines()[first - 1 : last]
    language = LANGUAGES.get(Path(path).suffix, "text")
    options = f' hl_lines="{" ".join(str(line - first + 1) for line in marked)}"' if marked else ""
    return "\n".join([f'```{language} linenums="{first}"{options}', *lines, "```"])


def source_page(path: str) -> str:
    """Return the address of a file's page within the site's sources."""
    return f"source/{path}.md"


def link(from_page: str, path: str, line: int | None = None) -> str:
    """Return the relative Markdown target of a file's page, at a line."""
    target = posixpath.relpath(source_page(path), posixpath.dirname(from_page) or ".")
    return target + (f"#L-{line}" if line else "")


def source_markdown(path: str, repository: str) -> str:
    """Return the page that shows a file, every line with an anchor of its own: `#L-17`."""
    text = text_of(path)
    try:
        lexer = get_lexer_for_filename(path, stripnl=False)
    except ClassNotFound:
        lexer = get_lexer_for_filename("file.txt", stripnl=False)
    formatter = HtmlFormatter(nowrap=True)
    numbered = [
        f'<span class="line" id="L-{n}"><a href="#L-{n}" aria-label="line {n}">{n}</a>{line or " "}</span>'
        for n, line in enumerate(highlight(text, lexer, formatter).rstrip("\n").split("\n"), 1)
    ]
    there = f" · [in the repository]({repository.rstrip('/')}/blob/main/{path})" if repository else ""
    return "\n".join(
        [
            "---",
            f"title: {path}",
            "search:",
            "  exclude: true",
            "hide: [navigation, toc]",
            "---",
            "",
            f"# `{Path(path).name}`",
            "",
            f"`{html.escape(path)}`, as it is in the repository, {len(numbered)} lines{there}",
            "",
            f'<div class="source highlight" tabindex="0" role="region" aria-label="{path}"><pre><code>'
            + "\n".join(numbered)
            + "</code></pre></div>",
            "",
        ]
    )
