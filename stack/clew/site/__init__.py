"""What the documentation site is generated from.

In: the pages in `docs/` with their markers (`{{ trace 3 }}`), the repository's files, the notebooks, the recordings.
Out: every page as Markdown with HTML and SVG fragments, by path. Nothing here knows MkDocs: `docs/hooks/adapter.py`
hands the pages to it, and another generator could take them the same way. Whatever is missing ends the build with a
`ClewError`. Start reading at `build.py`; `markers.py` lists what a page can quote.
"""

from clew.site.build import build

__all__ = ["build"]
