"""The README of each stage, and the command that rewrites stages 01 to 04 and every README from the two ends."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from clew.core import processes
from clew.core.errors import ClewError
from clew.core.paths import STATE
from clew.ladder.files import cause_line, changed_layer, changed_lines, mix_files, source_diff, write_mix
from clew.ladder.table import AS_FOUND, FIXED, HOPS, LAYERS, STAGE_LIST, stage

WRITTEN = STATE / "ladder.json"  # what `rewrite` last wrote: its content is no edit, even after an end has changed
GIT_SECONDS = 10


def readme(number: int) -> str:
    """Return the text of a stage's README."""
    this = stage(number)
    lines = [f"# Stage {number} · {this.title}", ""]
    run = [f"make stage-{number} up trace", f"make stage-{number} diff"] if number else ["make stage-0 up trace"]
    if number:
        layer = changed_layer(number)
        line = changed_lines(layer, fixed=True)[0]
        lines += [
            f"**Symptom.** {layer.symptom}",
            "",
            f"**Cause.** {layer.cause}",
            "",
            f"**Fix.** {layer.fix} Here it is: [`{layer.file}`, line {line}]({layer.file}#L{line}).",
            "",
            f"The whole difference from stage {number - 1}:",
            "",
            "```diff",
            *source_diff(number),
            "```",
        ]
    else:
        lines += [
            "Nothing crashes, every request is answered 201, every task succeeds. But the ID that the client sent",
            "cannot be found anywhere. It is lost five times, once in each layer:",
            "",
            "| layer | where | cause |",
            "|---|---|---|",
        ]
        for layer in LAYERS:
            where = f"{layer.file}#L{cause_line(this.folder / layer.file, layer)}"
            lines.append(f"| {layer.hop} | [`{layer.file}`]({where}) | {layer.cause} |")
    lines += [
        "",
        "## What you will see",
        "",
        "| " + " | ".join(HOPS) + " |",
        "|" + "---|" * len(HOPS),
        "| " + " | ".join(this.verdicts) + " |",
        "",
        "```sh",
        *run,
        "```",
        "",
        "Or with Compose alone, in this folder, once the image is built: `docker compose up --wait`.",
        "",
        "[All stages](../../README.md#the-stages)"
        + (f" · [before: stage {number - 1}](../{stage(number - 1).slug}/README.md)" if number else "")
        + (f" · [next: stage {number + 1}](../{stage(number + 1).slug}/README.md)" if this is not FIXED else ""),
        "",
    ]
    return "\n".join(lines)


def stage_files(number: int) -> dict[str, bytes]:
    """Return every file that a stage's folder must hold, by relative path; a README can only follow the layer files."""
    return {
        **mix_files(stage(number).mix),
        ".env": f"STAGE={number}\n".encode(),
        "README.md": readme(number).encode(),
    }


def disagreements() -> list[str]:
    """Return how the stage folders differ from what is generated from 00 and 05, one sentence per difference."""
    found = []
    for this in STAGE_LIST:
        try:
            wanted = stage_files(this.number)
        except FileNotFoundError as error:
            found.append(f"{error.filename} is missing")
            continue
        present = {str(path.relative_to(this.folder)) for path in this.folder.rglob("*") if path.is_file()}
        found += [f"stages/{this.slug}/{name} is missing" for name in sorted(wanted.keys() - present)]
        found += [f"stages/{this.slug}/{name} does not belong there" for name in sorted(present - wanted.keys())]
        found += [
            f"stages/{this.slug}/{name} differs from what is generated from 00 and 05"
            for name in sorted(wanted.keys() & present)
            if (this.folder / name).read_bytes() != wanted[name]
        ]
    return found


def rewrite(force: bool = False) -> None:
    """Write stages 01 to 04 and all READMEs from the two ends, in place: a file that is right is not touched.

    Raises:
        ClewError: a file of 01 to 04 has edits that would be lost, and `force` is not set.
    """
    if not force and (edited := edited_files()):
        raise ClewError(f"Edited by hand, and would be overwritten: {', '.join(edited)}.", "make ladder FORCE=1")
    for this in STAGE_LIST:
        write_mix(this.mix, this.folder, this.number)
    for this in STAGE_LIST:
        path, text = this.folder / "README.md", readme(this.number)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    WRITTEN.parent.mkdir(parents=True, exist_ok=True)
    WRITTEN.write_text(json.dumps({key: _digest(path) for key, path, _ in _derived()}, indent=1))


def edited_files() -> list[str]:
    """Return the files of stages 01 to 04, as shown to a person, whose content neither an end, nor the last `rewrite`,
    nor the last commit has."""
    written = json.loads(WRITTEN.read_text()) if WRITTEN.exists() else {}
    return [
        f"stages/{key}"
        for key, path, name in _derived()
        if path.exists()
        and path.read_bytes() not in [(end.folder / name).read_bytes() for end in (AS_FOUND, FIXED)]
        and written.get(key) != _digest(path)
        and not _is_committed(path)
    ]


def _derived() -> list[tuple[str, Path, str]]:
    """Return each file of stages 01 to 04 that is made from the ends: its path below stages/, itself, and its path in
    its stage."""
    middle = [this for this in STAGE_LIST if this not in (AS_FOUND, FIXED)]
    return [(f"{this.slug}/{name}", this.folder / name, name) for this in middle for name in mix_files(this.mix)]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_committed(path: Path) -> bool:
    git = ("git", "-C", path.parent)
    if processes.run([*git, "ls-files", "--error-unmatch", path.name], GIT_SECONDS).code:
        return False
    return processes.run([*git, "diff", "--quiet", "HEAD", "--", path.name], GIT_SECONDS).code == 0
