"""Fix it yourself, on a stack: for each layer the untouched file fails, our fix passes, and each wrong fix fails with
words of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from clew import ladder
from clew.lab.tries import grade, workspace
from clew.lab.tries.wrong import WRONG
from clew.stacks import lifecycle
from clew.stacks.stack import try_stack

UNTOUCHED = {1: "nobody_sent_it", 2: "nothing_handed_on", 3: "nothing_handed_on", 4: "nothing_handed_on",
             5: "nothing_handed_on"}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def local_driver() -> Iterator[None]:
    """Run the tries with the local driver, and end their stack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVER", "local")
        try:
            yield
        finally:
            stack = try_stack()
            lifecycle.down(stack)
            assert stack.name != "try", "not a learner's own working copy: tests have ports of their own"
            for folder in (stack.folder, stack.folder.with_name(f"{stack.folder.name}-kept")):
                shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", range(1, 6))
def test_untouched_fails_ours_passes_and_each_wrong_fix_has_its_own_words(
    contract_table: list[str], number: int
) -> None:
    work = workspace.prepare(number, reset=True)
    workspace.up(work, lambda text: None)

    def judged(title: str, text: str) -> grade.Verdict:
        work.file.write_text(text)
        verdict = grade.check(work)
        contract_table.append(f"fix {number}, {work.layer.hop}: {title:<45} {verdict.key or 'solved'}")
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
