"""What a page can quote: each `{{ name arguments }}` in a page is replaced by what the method of that name returns."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import click

from clew import ladder
from clew.core.errors import ClewError
from clew.core.paths import ROOT
from clew.evidence import logs
from clew.lab.mystery import faults
from clew.lab.tries import wrong
from clew.show import svg
from clew.site import (
    alerted,
    benched,
    carried,
    docstrings,
    drawing,
    drilled,
    explorer,
    leaked,
    notebooks,
    plans,
    quoting,
    recorded,
    reference,
    web,
)

MARKER = re.compile(r"(^ +)?\{\{ ([a-z_]+)((?: [^}]+)?) \}\}", re.MULTILINE)


@dataclass(frozen=True)
class Site:
    """What the markers need to know of the whole site; `pages` are the paths of all pages."""

    commands: click.Group
    repository: str
    pages: frozenset[str]


def fill(markdown: str, page: str, site: Site) -> str:
    """Return the text of a page with its markers replaced.

    Raises:
        ClewError: a marker has an unknown name, wrong arguments, or names something that is missing.
    """
    markers = Markers(page, site)

    def replaced(found: re.Match[str]) -> str:
        indent, name, arguments = found[1] or "", found[2], shlex.split(found[3])
        function: Callable[..., str] | None = getattr(markers, name, None)
        if function is None:
            raise ClewError(f"{page}: there is no marker {name!r}.", "choose one of stack/clew/site/markers.py")
        try:
            return textwrap.indent(function(*arguments), indent)
        except ClewError as error:
            raise ClewError(f"{page}: {error.message}", error.next_step) from None
        except (TypeError, ValueError) as error:
            raise ClewError(f"{page}: {found[0].strip()}: {error}.", f"correct it in docs/{page}") from None

    return MARKER.sub(replaced, markdown)


class Markers:
    """The markers of one page. Arguments are text, as written in the marker."""

    def __init__(self, page: str, site: Site) -> None:
        self._page = page
        self._site = site

    def _url(self, path: str) -> str:
        if path not in self._site.pages:
            raise ClewError(f"There is no page {path}.", "list its file in SOURCES of stack/clew/site/build.py")
        return web.relative(path, self._page)

    def _where(self, path: str, first: int, last: int | None = None) -> str:
        quoting.text_of(path)
        target = quoting.link(self._page, path, first)
        lines = f":{first}" + (f"–{last}" if last else "")
        return f"[`{path}{lines}`]({target}){{ .where }}"

    def code(self, path: str, name: str = "") -> str:
        """A file, or a region of it."""
        first, last = quoting.region(path, name) if name else (1, len(quoting.text_of(path).splitlines()))
        return f"{self._where(path, first, last)}\n\n{quoting.fence(path, first, last)}"

    def broken(self, number: str) -> str:
        """The layer file that stage N fixes, as it is in the stage before; the line that loses the ID is marked."""
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
        quoting.text_of(path)
        return f"[`{path}`]({quoting.link(self._page, path)})"

    def diff(self, number: str) -> str:
        """The fix of a stage as a unified diff."""
        return "\n".join(["```diff", *ladder.source_diff(int(number)), "```"])

    def layer(self, number: str, part: str) -> str:
        """A layer's symptom, cause or fix, from the ladder's table."""
        return str(getattr(ladder.changed_layer(int(number)), part))

    def anchors(self) -> str:
        """The five layers as stage 0 has them: where the ID is lost, and why."""
        items = []
        for layer in ladder.LAYERS:
            path = f"stages/{ladder.AS_FOUND.slug}/{layer.file}"
            line = ladder.cause_line(ROOT / path, layer)
            target = quoting.link(self._page, path, line)
            items.append(f"1.  **{layer.hop}**, [`{layer.file}:{line}`]({target}){{ .where }}: {layer.cause}")
        return "\n".join(items)

    def trail(self, number: str) -> str:
        """A stage's trail as a picture."""
        return svg.trail(recorded.stage_run(int(number)).verdicts)

    def trace(self, number: str) -> str:
        """What `make stage-N trace` printed."""
        return recorded.trace(int(number))

    def two(self, number: str) -> str:
        """What `make stage-N two` printed."""
        return recorded.two(int(number))

    def told_apart(self) -> str:
        """How many lines of two requests at once can be told apart on each stage."""
        return recorded.told_apart()

    def logs(self, number: str) -> str:
        """All log lines of a stage's recorded request, whether they have its ID or not."""
        return recorded.stage_logs(int(number))

    def search(self, number: str) -> str:
        """What one search for the sent ID finds on a stage."""
        return recorded.search(int(number))

    def found_in(self, number: str) -> str:
        """How many of the recorded request's lines a search for its ID finds."""
        run = recorded.stage_run(int(number))
        found = logs.with_id(run.lines, run.sent_id)
        services = {line["service"] for line in found}
        return f"{len(found)} of {len(run.lines)} lines, in {len(services)} services"

    def log_diff(self, number: str) -> str:
        """How a stage's normalised logs differ from those of the stage before."""
        return recorded.log_diff(int(number))

    def message(self, number: str) -> str:
        """The decoded message of a stage, folded."""
        return recorded.message(int(number))

    def figure(self, number: str, name: str) -> str:
        """One figure of a stage's recorded run: a hop's milliseconds, `answered` or `task`."""
        run = recorded.stage_run(int(number))
        figures = {"answered": f"{run.answered_ms:.1f} ms", **{hop.hop: hop.shown_ms for hop in run.hops}}
        if run.task_ms is not None:
            figures["task"] = f"{run.task_ms:.1f} ms"
        if not figures.get(name):
            raise ClewError(f"The recorded run has no figure {name!r}.", f"choose one of {', '.join(figures)}")
        return figures[name]

    def recorded(self, kind: str = "stages") -> str:
        """When a recording was made, and with what."""
        return recorded.when(kind)

    def matrix(self) -> str:
        """The six recorded stages as a table."""
        return recorded.matrix(lambda number: self._url(f"journey/stage-{number}.md"))

    def lattice(self) -> str:
        """The 32 recorded mixes as small trails."""
        return recorded.lattice(lambda mix: f"{self._url('explorer.md')}?mix={mix}")

    def explorer(self) -> str:
        """The explorer: controls, drawing, log lines, and the data that its script plays."""
        return explorer.page(lambda path, line: f"{self._url(quoting.source_page(path))}#L-{line}")

    def map(self) -> str:
        """The nine services, without controls."""
        run = recorded.stage_run(ladder.FIXED.number)
        return f'<div class="stage-map still">{drawing.drawing("wide", run)}{drawing.drawing("tall", run)}</div>'

    def make_targets(self) -> str:
        """The Makefile's targets."""
        return reference.make_targets()

    def commands(self) -> str:
        """The commands of `python -m clew`."""
        return reference.commands(self._site.commands)

    def http_api(self) -> str:
        """The API's operations and schemas."""
        return reference.http_api()

    def error_codes(self) -> str:
        """The stable error codes."""
        return reference.error_codes()

    def drills(self) -> str:
        """All drills and their last recorded results."""
        return drilled.table()

    def benches(self) -> str:
        """All recorded measurements: ratios, goals, and how far chance reaches."""
        return benched.table()

    def bench(self, name: str) -> str:
        """One recorded measurement: its figures, and a picture of its ratios."""
        return benched.figures(name)

    def leaks(self, part: str) -> str:
        """The leak lab's recorded `table`, `example` or `pictures`."""
        return {"table": leaked.table, "example": leaked.example, "pictures": leaked.pictures}[part]()

    def alerts(self, part: str) -> str:
        """The recorded run of `make alerts`: `table` or `pictures`."""
        return {"table": alerted.table, "pictures": alerted.pictures}[part]()

    def ways(self, part: str) -> str:
        """Three ways to carry an ID, as recorded: `table`, `headers`, `line`, `waterfall` or `cost`."""
        parts = {name: getattr(carried, name) for name in ("table", "headers", "line", "waterfall", "cost")}
        return str(parts[part]())

    def python(self, package: str) -> str:
        """What people import from a package, from its docstrings."""
        return docstrings.reference(package)

    def notebooks(self) -> str:
        """A link to every notebook."""
        return "\n".join(f"- [{notebooks.title(path)}]({path.stem}.md)" for path in notebooks.paths())

    def wrong_fixes(self) -> str:
        """The known wrong fixes of each layer."""
        rows = [f"| {ladder.changed_layer(one.number).hop} | {one.title} |" for one in wrong.WRONG]
        return "\n".join(["| layer | a fix that does not work |", "|---|---|", *rows])

    def faults(self) -> str:
        """What can be wrong with a mystery, and in which layers."""
        rows = []
        for cause, told in faults.CAUSES.items():
            hops = dict.fromkeys(fault.hop for fault in (*faults.BASIC, *faults.RARE) if fault.cause == cause)
            rows.append(f"| `{cause}` | {told} | {', '.join(hops)} |")
        return "\n".join(["| cause | what is wrong | in |", "|---|---|---|", *rows])

    def plan(self, key: str) -> str:
        """An instructor's plan of a lesson, from `plans.toml`."""
        return plans.table(key, "notebooks/{}.md")

    def first_commands(self) -> str:
        """What to type first; with the repository's address where it is known."""
        if self._site.repository:
            return f"```sh\ngit clone {self._site.repository} clew\ncd clew\nmake stage-3 up trace\n```"
        return "Clone or copy the repository, and type this in its folder:\n\n```sh\nmake stage-3 up trace\n```"
