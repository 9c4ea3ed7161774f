"""Fix it yourself, in a terminal: what to do, the five hops, and the result of a check."""

from __future__ import annotations

from collections.abc import Sequence

from clew.evidence.trace import Hop
from clew.show.commands import with_ports
from clew.show.terminal import coloured, hop_rows, out, sentence, shown
from clew.show.trail import hop_words


def task(hop: str, symptom: str, file: str, url: str, command: str) -> None:
    """Print what is to be done."""
    rows = {
        "edit": shown(file, "bold"),
        "check": f"make check-try, or at each save: {command} WATCH=1",
        "stuck?": f"make hint-try (three hints), {command} SHOW=1 (our fix), {command} RESET=1 (start over)",
        "look": f"make try trace, make try logs ID=…; it runs at {url}",
    }
    sentence(f"{hop} loses the ID. {symptom} Make it hand on the client's ID.")
    out.print()
    for name, what in rows.items():
        out.print(f"{name:<7} ", with_ports(what) if isinstance(what, str) else what, sep="", markup=False)


def hops(found: Sequence[Hop]) -> None:
    """Print the five hops of a request."""
    for row in hop_rows([hop_words(hop) for hop in found]):
        out.print(row)


def solved(words: str, diff: Sequence[str]) -> None:
    """Print that it is solved, and our fix to compare with."""
    sentence(f"● {words}")
    solution(diff)


def solution(diff: Sequence[str]) -> None:
    """Print our fix."""
    out.print("\nOur fix:")
    out.print(coloured(diff))
    out.print()
