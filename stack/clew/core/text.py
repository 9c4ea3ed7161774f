"""Text from outside (log lines, IDs, answers, file contents) as a terminal may be given it."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """Return `text` with every character that is not printable shown escaped, except those in `keep`.

    Control characters, line separators, marks that change the direction of writing and lone surrogates become escape
    sequences as in Python: `\\x1b`, `\\n`, `\\u2028`, `\\ud800`. What is returned never moves the cursor, never changes
    the terminal, and can always be encoded as UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else character.encode("unicode_escape").decode()
        for character in text
    )
