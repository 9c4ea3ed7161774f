"""Fix it yourself, on a stack: for each layer the untouched file fails, our fix passes, and each wrong fix fails with
words of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from clew import ladder
from clew.lab.edited import run_edited
from clew.lab.tries import grade, workspace
from clew.lab.tries.diagnoses import Finding
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


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", range(1, 6))
def test_untouched_fails_ours_passes_and_each_wrong_fix_has_its_own_words(
    contract_table: list[str], number: int
) -> None:
    work = workspace.prepare(number, reset=True)
    driver = workspace.up(work, lambda text: None)
    layer = work.layer

    def row(title: str, key: str) -> str:
        contract_table.append(f"fix {number}, {layer.hop}: {title:<45} {key or 'solved'}")
        return key

    def judged(title: str, text: str) -> grade.Verdict:
        work.file.write_text(text)
        verdict = grade.check(work)
        row(title, verdict.key)
        return verdict

    ours = ladder.source(layer, fixed=True).read_text()
    assert judged("untouched", ladder.source(layer, fixed=False).read_text()).key == UNTOUCHED[number]
    wrong = [one for one in WRONG if one.number == number]
    assert len(wrong) >= 4

    found: dict[str, Finding | None] = {}
    for one in wrong:
        work.file.write_text(one.text)
        run_edited(work.stack, driver)
        found[one.key] = grade.first_look(work, driver)[1]
    pending = [one for one in wrong if found[one.key] is None and number < len(ladder.LAYERS)]
    if pending:
        with workspace.reserved(), workspace.later_layers_fixed(work):  # once for all: it restarts the workers
            for one in pending:
                work.file.write_text(one.text)
                found[one.key] = grade.second_look(work, driver)
    keys = {one.key: row(one.title, finding.key if (finding := found[one.key]) else "") for one in wrong}
    assert keys == {key: key for key in keys}
    assert len({finding.words for finding in found.values() if finding}) == len(wrong)

    if number == 3:
        broken = judged("cannot be imported", f"import nothing_of_that_name\n{ours}")
        assert broken.key == "does_not_start" and "No module named 'nothing_of_that_name'" in broken.words
    verdict = judged("our fix", ours)
    assert verdict.solved and verdict.beads[:number] == ("kept",) * number
    assert ladder.mix_of(work.stack.folder) == ladder.stage(number).mix, "the later layers are as they were"
