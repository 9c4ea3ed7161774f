"""Builds the site from the repository: code by name, recordings, references. Whatever is missing ends the build."""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import explorer
import pictures
import quoting
import recorded
import reference
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

from clew import ladder
from clew.core.paths import ROOT, STACK

os.environ.pop("CLEW_PORTS", None)  # the commands on the site are those of the usual ports

MARKER = re.compile(r"(^ +)?\{\{ ([a-z_]+)((?: [^}]+)?) \}\}", re.MULTILINE)
SOURCES = (
    "stages/*/**/*",
    "stack/clew/**/*.py",
    "stack/clew/ladder.toml",
    "stack/taskqueue/**/*.py",
    "stack/nginx/*.conf",
    "stack/compose.yaml",
    "Makefile",
)


def sources() -> list[str]:
    """Return the files that have a page of their own."""
    found = {path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()}
    left_out = {"__pycache__", "README.md", ".env"}
    return sorted(str(path.relative_to(ROOT)) for path in found if not left_out & set(path.parts))


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def on_config(config: Any) -> Any:
    """Put the notebooks into the navigation, in the order of their names."""
    if not notebooks():
        raise PluginError("There are no notebooks in notebooks/ to show.")
    for entry in config.nav:
        if "The notebooks" in entry:
            entry["The notebooks"] += [f"notebooks/{path.name}" for path in notebooks()]
    return config


@event_priority(100)  # before mkdocs-jupyter, which renders the notebooks it finds among the files
def on_files(files: Any, config: Any) -> Any:
    for path in notebooks():
        relative = f"notebooks/{path.name}"
        files.append(File(relative, str(ROOT), config.site_dir, config.use_directory_urls))
    for path in sources():
        content = quoting.source_markdown(path, config.extra["repository"])
        files.append(File.generated(config, quoting.source_page(path), content=content))
    files.append(File.generated(config, "reference/openapi.json", content=reference.openapi_json()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Replace each `{{ name arguments }}` by what the function of that name returns."""
    if page.file.src_uri.endswith(".ipynb"):
        page.meta["hide"] = ["toc"]  # cells and their tables need the width
    if page.file.generated_by or page.file.src_uri.endswith(".ipynb"):
        return markdown
    quotes = Quotes(page, config, files)

    def replaced(found: re.Match[str]) -> str:
        indent, name, arguments = found[1] or "", found[2], shlex.split(found[3])
        function: Callable[..., str] | None = getattr(quotes, name, None)
        if function is None:
            raise PluginError(f"{page.file.src_uri}: there is nothing called {name!r}")
        try:
            return textwrap.indent(function(*arguments), indent)
        except PluginError as error:
            raise PluginError(f"{page.file.src_uri}: {error}") from None

    return MARKER.sub(replaced, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Let a notebook's links lead to pages of the site, and its scrolling blocks be reached by keyboard."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def led(found: re.Match[str]) -> str:
        path, _, anchor = found[1].partition("#")
        wanted = posixpath.normpath(posixpath.join("notebooks", path))
        wanted = posixpath.relpath(wanted, "docs") if wanted.startswith("docs/") else wanted
        file = files.get_file_from_path(wanted) or files.get_file_from_path(quoting.source_page(wanted))
        if file is None:
            raise PluginError(f"{page.file.src_uri}: {found[1]} is no page of the site")
        return f'href="{file.url_relative_to(page.file)}{"#" + anchor if anchor else ""}"'

    html = html.replace("<th></th>", "<td></td>")  # a header that says nothing is an empty cell to a screen reader
    html = re.sub(r'href="(?!#|[a-z]+:)([^"]+)"', led, html)
    return re.sub(r"<pre(?=[ >])", '<pre tabindex="0"', html)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Give the theme's search dialog the name that a screen reader needs."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )


class Quotes:
    """What a page can quote. Arguments are text, as they stand in the marker."""

    def __init__(self, page: Any, config: Any, files: Any) -> None:
        self.page = page
        self.repository = config.extra["repository"]
        self.files = files

    def _url(self, source: str) -> str:
        file = self.files.get_file_from_path(source)
        if file is None:
            raise PluginError(f"there is no page {source}")
        return str(file.url_relative_to(self.page.file))

    def _where(self, path: str, first: int, last: int | None = None) -> str:
        quoting.text_of(path)
        target = quoting.link(self.page.file.src_uri, path, first)
        lines = f":{first}" + (f"–{last}" if last else "")
        return f"[`{path}{lines}`]({target}){{ .where }}"

    def code(self, path: str, name: str = "") -> str:
        """A file, or a region of it."""
        first, last = quoting.region(path, name) if name else (1, len(quoting.text_of(path).splitlines()))
        return f"{self._where(path, first, last)}\n\n{quoting.fence(path, first, last)}"

    def broken(self, number: str) -> str:
        """The layer file that stage N fixes, as it stands in the stage before, the line that loses the ID marked."""
        layer, before = ladder.changed_layer(int(number)), ladder.stage(int(number) - 1)
        path = f"stages/{before.slug}/{layer.file}"
        line = ladder.cause_line(ROOT / path, layer)
        block = quoting.fence(path, marked=[line])
        return f'{self._where(path, line)}\n\n<div class="lost" markdown>\n\n{block}\n\n</div>'

    def fixed(self, number: str) -> str:
        """The layer file that stage N fixes, the fixed lines marked."""
        path = f"stages/{ladder.stage(number).slug}/{ladder.changed_layer(int(number)).file}"
        marked = ladder.changed_lines(ladder.changed_layer(int(number)), fixed=True)
        return f"{self._where(path, marked[0])}\n\n{quoting.fence(path, marked=marked)}"

    def fixed_line(self, number: str) -> str:
        """A link to the first line of a stage's fix."""
        path = f"stages/{ladder.stage(number).slug}/{ladder.changed_layer(int(number)).file}"
        return self._where(path, ladder.changed_lines(ladder.changed_layer(int(number)), fixed=True)[0])

    def file(self, path: str, name: str = "") -> str:
        """A link to a file, or to a region of it."""
        if name:
            return self._where(path, quoting.region(path, name)[0])
        return f"[`{path}`]({quoting.link(self.page.file.src_uri, path)})"

    def diff(self, number: str) -> str:
        return "\n".join(["```diff", *ladder.source_diff(int(number)), "```"])

    def layer(self, number: str, part: str) -> str:
        """A layer's symptom, cause or fix, as the ladder's table says."""
        return str(getattr(ladder.changed_layer(int(number)), part))

    def anchors(self) -> str:
        """The five layers as stage 0 has them: where the ID is lost, and why."""
        rows = ["| no. | layer | the line that loses the ID | why |", "|---|---|---|---|"]
        for n, layer in enumerate(ladder.LAYERS, 1):
            path = f"stages/{ladder.AS_FOUND.slug}/{layer.file}"
            line = ladder.cause_line(ROOT / path, layer)
            target = quoting.link(self.page.file.src_uri, path, line)
            rows.append(f"| {n} | {layer.hop} | [`{layer.file}:{line}`]({target}) | {layer.cause} |")
        return "\n".join(rows)

    def trail(self, number: str) -> str:
        return pictures.trail(recorded.stage_run(int(number)).verdicts)

    def trace(self, number: str) -> str:
        return recorded.trace(int(number))

    def logs(self, number: str) -> str:
        return recorded.stage_logs(int(number))

    def search(self, number: str) -> str:
        return recorded.search(int(number))

    def found_in(self, number: str) -> str:
        """How many of the recorded request's lines a search for its ID finds, of how many."""
        run = recorded.stage_run(int(number))
        found = recorded.logs.with_id(run.lines, run.sent_id)
        services = {line["service"] for line in found}
        return f"{len(found)} of {len(run.lines)} lines, in {len(services)} services"

    def log_diff(self, number: str) -> str:
        return recorded.log_diff(int(number))

    def message(self, number: str) -> str:
        return recorded.message(int(number))

    def figure(self, number: str, name: str) -> str:
        """One figure of a stage's recorded run."""
        run = recorded.stage_run(int(number))
        figures = {"answered": f"{run.answered_ms:.1f} ms", **{hop.hop: hop.shown_ms for hop in run.hops}}
        if run.task_ms is not None:
            figures["task"] = f"{run.task_ms:.1f} ms"
        if not figures.get(name):
            raise PluginError(f"the recorded run has no figure {name!r}")
        return figures[name]

    def recorded(self, kind: str = "stages") -> str:
        return recorded.when(kind)

    def matrix(self) -> str:
        return recorded.matrix(lambda number: self._url(f"journey/stage-{number}.md"))

    def lattice(self) -> str:
        return recorded.lattice(lambda mix: f"{self._url('explorer.md')}?mix={mix}")

    def explorer(self) -> str:
        return explorer.page(lambda path, line: f"{self._url(quoting.source_page(path))}#L-{line}")

    def map(self) -> str:
        """The nine services, still."""
        entry = recorded.entry_of(ladder.FIXED.mix)
        return f'<div class="stage-map still">{explorer.drawing("wide", entry)}{explorer.drawing("tall", entry)}</div>'

    def make_targets(self) -> str:
        return reference.make_targets()

    def commands(self) -> str:
        return reference.commands()

    def http_api(self) -> str:
        return reference.http_api()

    def modules(self, package: str) -> str:
        """The Python API of every module of a package, from its docstrings."""
        paths = sorted(path for path in (STACK / package).rglob("*.py") if not path.name.startswith("__"))
        names = [str(path.relative_to(STACK).with_suffix("")).replace("/", ".") for path in paths]
        return "\n\n".join(f"::: {name}" for name in names)

    def notebooks(self) -> str:
        """A link to every notebook."""
        found = []
        for path in notebooks():
            cells = json.loads(path.read_text())["cells"]
            text = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "markdown"))
            title = text.splitlines()[0].lstrip("# ")
            found.append(f"- [{title}]({path.name})")
        return "\n".join(found)

    def first_commands(self) -> str:
        """What to type first; with the repository's address, when it is known."""
        clone = [f"git clone {self.repository} clew && cd clew"] if self.repository else []
        where = "" if self.repository else "In your clone of the repository:\n\n"
        return where + "\n".join(["```sh", *clone, "make stage-3 up trace", "```"])
