"""Commands inside a text: each can be typed as it stands, with CLEW_PORTS where the ports are not the default ones."""

from __future__ import annotations

import re

from clew.core.errors import ClewError
from clew.stacks.stack import on_these_ports

VERBS = (
    "up status send trace two check diff logs columns sql metrics reach message dead-letters watch "
    "rolling-restart load down"
)
TARGETS = (
    r"stage-\w+ two-\d try(-\d)? check-try hint-try mystery guess journey lattice doctor down drills? leaks ways "
    r"swarm-\w+"
)
# Quoted where it has spaces; a mark after which the sentence goes on is not of it.
VALUE = r"""('[^']*'|"[^"]*"|[^\s'",.?;)]|[,.?;](?=\S)|\.(?=$| [A-Z_]+=))*"""
COMMAND = re.compile(
    rf"\bmake ({TARGETS.replace(' ', '|')})(?![\w-])( ({VERBS.replace(' ', '|')})(?![\w-])| [A-Z_]+={VALUE})*"
)


def with_ports(text: str) -> str:
    """Return a text in which each command that concerns a stack has CLEW_PORTS, if the ports are not the default."""
    try:
        return COMMAND.sub(lambda found: on_these_ports(found[0]), text)
    except ClewError:  # CLEW_PORTS itself is wrong, and the message is about that
        return text
