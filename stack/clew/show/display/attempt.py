"""A fix that was tried: the five hops of one of its requests, and what holds or does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clew.evidence.trace import Hop
from clew.show import svg
from clew.show.display.base import TEMPLATES, Display
from clew.show.display.diffs import UnifiedDiff
from clew.show.display.tables import Words
from clew.show.terminal import hop_rows
from clew.show.trail import hop_words

PICTURE = TEMPLATES.from_string("{% if picture %}<div>{{ picture }}</div>{% endif %}{{ rest|safe }}")


class Attempt(Display):
    """The result of a fix; `ours` is our fix as a unified diff, shown once the learner's works."""

    def __init__(self, solved: bool, words: str, hops: Sequence[Hop], ours: Sequence[str]) -> None:
        self.solved, self.words, self.hops, self.ours = solved, words, list(hops), list(ours)

    def facts(self) -> dict[str, Any]:
        return {"solved": self.solved, "beads": [hop.verdict for hop in self.hops]}

    def text(self) -> str:
        rows = [row.plain for row in hop_rows([hop_words(hop) for hop in self.hops])]
        ours = ["", "Our fix:", *self.ours] if self.solved else []
        return "\n".join([*rows, *([""] if rows else []), Words(self.words, self.solved).text(), *ours])

    def html(self) -> str:
        verdicts = [hop.verdict for hop in self.hops]
        rest = Words(self.words, self.solved).html()
        if self.solved:
            rest += Words("Our fix, to compare with:").html() + UnifiedDiff(self.ours).html()
        return PICTURE.render(picture=svg.trail(verdicts) if verdicts else "", rest=rest)
