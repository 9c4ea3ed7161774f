"""Showing what was found: one presenter for the words, a thin renderer for each place they are shown.

In: runs, log lines, messages and diffs from `clew.evidence`. Out: `trail.py` and `message.py` return the words as plain
data; `terminal.py` prints them, `display` shows them in notebooks as HTML and text, `svg.py` draws trails and timelines
(the site uses it too). No renderer writes a sentence about a trail of its own. Text from outside is escaped: control
characters in a terminal, everything in HTML. Start reading at `trail.py`.
"""
