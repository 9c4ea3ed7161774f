"""Fix it yourself, on a stack: for each layer the untouched file fails, our fix passes, and each wrong fix fails with
words of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clew import ladder
from clew.lab.tries import grade, workspace
from clew.lab.tries.wrong import WRONG
from clew.stacks import lifecycle
from clew.stacks.stack import try_stack

UNTOUCHED = {1: "nobody_sent_it", 2: "nothing_handed_on", 3: "nothing_handed_on", 4: "nothing_handed_on",
             5: "nothing_handed_on"}  # fmt: skip


@pytest.fixture(scope="module")
def contract(pytestconfig: pytest.Config) -> Iterator[dict[str, str]]:
    """The table of what was tried and what came of it, printed at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVER", "local")
        table: dict[str, str] = {}
        try:
            yield table
        finally:
            lifecycle.down(try_stack())
            reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
            for tried, found in {"\nThe contract of the fixes:": "", **table}.items():
                reporter.write_line(f"{tried:<60} {found}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(1, 6))
def test_untouched_fails_ours_passes_and_each_wrong_fix_has_its_own_words(
    contract: dict[str, str], number: int
) -> None:
    work = workspace.prepare(number, reset=True)
    workspace.up(work, lambda text: None)

    def judged(title: str, text: str) -> grade.Verdict:
        work.file.write_text(text)
        verdict = grade.check(work)
        contract[f"{number} {work.layer.hop}: {title}"] = verdict.key or "solved"
        return verdict

    layer = work.layer
    assert judged("untouched", ladder.source(layer, fixed=False).read_text()).key == UNTOUCHED[number]
    wrong = [one for one in WRONG if one.number == number]
    assert len(wrong) >= 4
    found = {one.key: judged(one.title, one.text) for one in wrong}
    assert {key: verdict.key for key, verdict in found.items()} == {key: key for key in found}
    assert len({verdict.words for verdict in found.values()}) == len(wrong)
    ours = judged("our fix", ladder.source(layer, fixed=True).read_text())
    assert ours.solved and ours.beads[:number] == ("kept",) * number
    assert ladder.mix_of(work.stack.folder) == ladder.stage(number).mix, "the later layers are as they were"
