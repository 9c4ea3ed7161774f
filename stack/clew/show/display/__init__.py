"""What a notebook shows: HTML where there is HTML, plain text elsewhere.

In: runs, log lines, messages, diffs, texts. Out: objects that a notebook displays; each has `text`, `html`, and `facts`
that checks read. HTML comes from templates that escape everything. Shapes and words say what colours say, and a picture
has no text that the words around it lack, so a viewer that strips pictures loses nothing. Start reading at `base.py`.
"""

from clew.show.display.attempt import Attempt
from clew.show.display.base import Display
from clew.show.display.diffs import Beside, LogDiff, Source, UnifiedDiff
from clew.show.display.lines import Lines
from clew.show.display.message import MessageXray
from clew.show.display.plots import Plot
from clew.show.display.tables import Matrix, Table, Words
from clew.show.display.trail import Timeline, Trail

__all__ = [
    "Attempt",
    "Beside",
    "Display",
    "Lines",
    "LogDiff",
    "Matrix",
    "MessageXray",
    "Plot",
    "Source",
    "Table",
    "Timeline",
    "Trail",
    "UnifiedDiff",
    "Words",
]
