"""The stage folders: made from the two written ends, 00 and 05, and compared with them."""

from __future__ import annotations

import difflib
from pathlib import Path

from clew.core.paths import shown
from clew.ladder.table import AS_FOUND, EDITED, FIXED, LAYERS, Layer, Stage, checked_mix, stage


def source(layer: Layer, fixed: bool) -> Path:
    """Return the written version of a layer's file."""
    return (FIXED if fixed else AS_FOUND).folder / layer.file


def mix_files(mix: str) -> dict[str, bytes]:
    """Return a runnable stage's files by relative path, the README and .env excepted, with the layers of `mix`."""
    layer_files = {
        layer.file: source(layer, fixed == "1") for layer, fixed in zip(LAYERS, checked_mix(mix), strict=True)
    }
    shared = {name: FIXED.folder / name for name in ("compose.yaml", "fastapi-app/main.py")}
    return {name: path.read_bytes() for name, path in sorted({**shared, **layer_files}.items())}


def mix_of(folder: Path) -> str:
    """Return the mix that a folder's layer files are; `?` for a layer that is neither of its two written versions."""
    marks = []
    for layer in LAYERS:
        content = (folder / layer.file).read_bytes()
        versions = {source(layer, fixed).read_bytes(): mark for mark, fixed in (("0", False), ("1", True))}
        marks.append(versions.get(content, EDITED))
    return "".join(marks)


def edited_files(this: Stage) -> list[str]:
    """Return a stage's layer files that are not the written versions which the stage has, as paths from the top."""
    marks = zip(LAYERS, this.mix, mix_of(this.folder), strict=True)
    return [shown(this.folder / layer.file) for layer, wanted, found in marks if wanted != found]


def write_mix(mix: str, folder: Path, digit: int = 9) -> None:
    """Make `folder` a runnable stage with the layers of `mix`, whose ports begin with 80`digit`."""
    for name, content in {**mix_files(mix), ".env": f"STAGE={digit}\n".encode()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def changed_layer(number: int) -> Layer:
    """Return the layer that stage `number` fixes; stage 0 fixes none."""
    return LAYERS[number - 1]


def source_diff(number: int) -> list[str]:
    """Return the unified diff from the previous stage's layer file to this stage's, without line ends."""
    if number == 0:
        return []
    layer, before, after = changed_layer(number), stage(number - 1), stage(number)
    old, new = before.folder / layer.file, after.folder / layer.file
    return list(
        difflib.unified_diff(
            old.read_text().splitlines(),
            new.read_text().splitlines(),
            f"{before.slug}/{layer.file}",
            f"{after.slug}/{layer.file}",
            lineterm="",
        )
    )


def cause_line(path: Path, layer: Layer, hand_off: int | None = None) -> int:
    """Return the number of the line of a layer's file that decides about the ID: the one with the layer's anchor, of
    several the last above the line `hand_off`; without an anchor `hand_off` itself, or 1."""
    lines = enumerate(path.read_text().splitlines(), 1)
    found = [number for number, line in lines if layer.anchor in line]
    above = [number for number in found if hand_off and number <= hand_off]
    return above[-1] if above else found[0] if found else hand_off or 1


def changed_lines(layer: Layer, fixed: bool) -> list[int]:
    """Return the numbers of the lines that one version of a layer's file has and the other has not, without blank
    lines: what the fix adds or changes with `fixed`, what it removes or changes without."""
    this = source(layer, fixed).read_text().splitlines()
    other = source(layer, not fixed).read_text().splitlines()
    blocks = difflib.SequenceMatcher(None, other, this, autojunk=False).get_opcodes()
    changed = (line for kind, _, _, start, end in blocks if kind != "equal" for line in range(start, end))
    return [line + 1 for line in changed if this[line].strip()]
