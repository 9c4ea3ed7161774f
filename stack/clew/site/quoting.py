"""Code of the repository, quoted by name: whole files or regions of them, never by line number and never pasted."""

from __future__ import annotations

import ast
import posixpath
from pathlib import Path

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.site import web

LANGUAGES = {".py": "python", ".conf": "nginx", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}


def text_of(path: str) -> str:
    """Return the text of a file of the repository.

    Raises:
        ClewError: it is missing.
    """
    try:
        return (ROOT / path).read_text()
    except OSError:
        raise ClewError(f"There is no {path} to quote.", "correct the path on the page that quotes it") from None


def region(path: str, name: str) -> tuple[int, int]:
    """Return the first and last line of a function, class or assignment of a Python file, or of a block in braces.

    Raises:
        ClewError: there is no such region.
    """
    text = text_of(path)
    found = _python_region(text, name) if path.endswith(".py") else _brace_region(text, name)
    if found is None:
        raise ClewError(f"{path} has no region {name!r}.", "correct the name on the page that quotes it")
    return found


def _python_region(text: str, name: str) -> tuple[int, int] | None:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.stmt):
            continue
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
    """Return the path of the page that shows a file."""
    return f"source/{path}.md"


def link(from_page: str, path: str, line: int | None = None) -> str:
    """Return the relative Markdown target of a file's page, at a line."""
    target = posixpath.relpath(source_page(path), posixpath.dirname(from_page) or ".")
    return target + (f"#L-{line}" if line else "")


def source_markdown(path: str, repository: str) -> str:
    """Return the page that shows a file; every line has an anchor: `#L-17`."""
    text = text_of(path)
    try:
        lexer = get_lexer_for_filename(path, stripnl=False)
    except ClassNotFound:
        lexer = get_lexer_for_filename("file.txt", stripnl=False)
    lines = highlight(text, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")
    address = f"{repository.rstrip('/')}/blob/main/{path}" if repository else ""
    coloured = [Markup(line) for line in lines]  # noqa: S704 (Pygments has escaped the text)
    shown = web.render("source.html", path=path, lines=coloured, repository=address)
    head = ["---", f"title: {path}", "search:", "  exclude: true", "hide: [navigation, toc]", "---"]
    return "\n".join([*head, "", f"# `{Path(path).name}`", "", shown, ""])
