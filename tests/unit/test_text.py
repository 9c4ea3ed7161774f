"""Text from outside never reaches the terminal as more than text."""

from __future__ import annotations

import pytest

from clew.core.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]2;title\x07", r"\x1b]2;title\x07"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("a\x85b\u2028c", r"a\x85b\u2028c"),
        ("\u202eevil", r"\u202eevil"),  # turns the direction of writing
        ("lone \udcff", r"lone \udcff"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
    ],
)
def test_what_is_not_printable_is_shown_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).isprintable()


@pytest.mark.parametrize("text", ["", "plain", "Ünïcode ⚡ ● ≈ –", r"C:\new [bold]"])
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_our_own_line_breaks_can_be_kept() -> None:
    assert printable("first\n  second\x1b", keep="\n") == "first\n  second\\x1b"
