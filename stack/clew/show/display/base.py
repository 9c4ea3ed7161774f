"""The base of everything that a notebook displays: text, HTML and facts, and how the templates escape."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from clew.core.marks import COLOURS
from clew.core.text import printable
from clew.show import plot, svg

KEPT, LOST = COLOURS["kept"], COLOURS["missing"]
STYLE = f"""
.clew {{font-size:13px; line-height:1.45; color:var(--jp-content-font-color1, inherit); max-width:1100px}}
.clew table {{border-collapse:collapse; width:100%; table-layout:auto; margin:4px 0}}
.clew :is(td, th) {{text-align:left !important; vertical-align:top; padding:2px 8px; border:0; background:none}}
.clew tr {{background:none !important}}
.clew .wide {{overflow-x:auto}}
.clew .hops {{table-layout:fixed; min-width:640px}}
.clew .hops :is(td, th) {{text-align:center !important; padding:1px 2px; overflow-wrap:anywhere}}
.clew .hops .picture {{padding:0}}
.clew :is(.mono, pre) {{font-family:var(--jp-code-font-family, monospace); font-size:12px}}
.clew :is(.mono, pre) {{white-space:pre-wrap; margin:0; padding-left:8px}}
.clew .rows :is(td, th):not(:last-child) {{white-space:nowrap}}
.clew .words {{padding:4px 10px; white-space:pre-line}}
.clew .ms {{text-align:right !important; white-space:nowrap}}
.clew .faint {{opacity:.75}}
.clew .id {{font-weight:700; border-bottom:2px solid {KEPT}}}
.clew .on {{background:rgba(0,158,115,.16); box-shadow:inset 3px 0 {KEPT}}}
.clew .off {{background:rgba(213,94,0,.14); box-shadow:inset 3px 0 {LOST}}}
.clew .two {{display:grid; grid-template-columns:minmax(0,1fr) minmax(0,1fr); gap:2px 14px; align-items:stretch}}
.clew .two > div {{padding:1px 8px}}
.clew .beside {{display:grid; grid-template-columns:repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap:10px 18px}}
.clew .replay {{border:1px dashed currentColor; padding:2px 8px; display:inline-block; margin-bottom:4px}}
.clew summary {{cursor:pointer}}
{svg.CSS.strip()}
{plot.CSS.strip()}
"""


def mark(text: str, sent_id: str) -> Markup:
    """Return a text, escaped, with the sent ID in it marked."""
    return Markup('<span class="id">{}</span>').format(sent_id).join(text.split(sent_id) if sent_id else [text])


def prose(text: str) -> Markup:
    """Return a text, escaped, with what stands between backticks as code."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


TEMPLATES = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
TEMPLATES.filters |= {"mark": mark, "prose": prose}

PLAIN = TEMPLATES.from_string("<pre>{{ text }}</pre>")
# Without these classes a page with MathJax takes what stands between two dollar signs for a formula.
WHOLE = TEMPLATES.from_string("""\
<style>{{ style|safe }}</style>
<div class="clew mathjax_ignore tex2jax_ignore">
{%- if note %}<div class="replay">▷ {{ note }}</div>{% endif %}
{{ body|safe }}</div>
""")


class Display:
    """Something to show: `text`, `html`, and `facts` that checks read. `note` says that a recording is played."""

    note: str | None = None

    def text(self) -> str:
        raise NotImplementedError

    def html(self) -> str:
        return PLAIN.render(text=self.text())

    def facts(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        return printable(f"{self.note}\n\n{self.text()}" if self.note else self.text(), keep="\n")

    def _repr_html_(self) -> str:
        return printable(WHOLE.render(style=STYLE, note=self.note, body=self.html()), keep="\n")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        facts = {"clew": {**self.facts(), "replay": self.note is not None}}
        return {"text/plain": repr(self), "text/html": self._repr_html_()}, facts
