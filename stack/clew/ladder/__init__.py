"""The ladder: two written ends, and every stage between them, every mix of fixed and broken layers, made from those.

A mix is five characters, nginx first: `1` for a fixed layer, `0` for a broken one. Stage 3 is `11100`.
"""

from __future__ import annotations

import difflib
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from clew.core.errors import ClewError
from clew.core.paths import STAGES

_DATA = tomllib.loads((Path(__file__).parent / "ladder.toml").read_text())


@dataclass(frozen=True)
class Layer:
    """One of the five places where the ID can be lost; `anchor` is text on the line that loses it, or keeps it."""

    hop: str
    file: str
    symptom: str
    cause: str
    fix: str
    anchor: str


@dataclass(frozen=True)
class Stage:
    """A rung: layers 1 to `number` are fixed."""

    number: int
    slug: str
    title: str
    verdicts: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return STAGES / self.slug

    @property
    def mix(self) -> str:
        return "1" * self.number + "0" * (len(LAYERS) - self.number)


LAYERS = tuple(Layer(**layer) for layer in _DATA["layers"])
HOPS = tuple(layer.hop for layer in LAYERS)
STAGE_LIST = tuple(
    Stage(number, stage["slug"], stage["title"], tuple(stage["verdicts"]))
    for number, stage in enumerate(_DATA["stages"])
)
AS_FOUND, FIXED = STAGE_LIST[0], STAGE_LIST[-1]


def stage(number: int | str) -> Stage:
    """Return the stage of that number.

    Raises:
        ClewError: there is no such stage.
    """
    if str(number) in {str(known.number) for known in STAGE_LIST}:
        return STAGE_LIST[int(number)]
    raise ClewError(f"There is no stage {number}; the stages are 0 to {FIXED.number}.", "make stage-0 up trace")


def all_mixes() -> list[str]:
    """Return the 32 mixes in Gray code order: neighbours differ in one layer, nginx changes most, the worker once."""
    mixes = [""]
    for _ in LAYERS:
        mixes = ["0" + mix for mix in mixes] + ["1" + mix for mix in reversed(mixes)]
    return [mix[::-1] for mix in mixes]


def checked_mix(mix: str) -> str:
    """Return `mix` if it is one.

    Raises:
        ClewError: it is not five characters of `0` and `1`.
    """
    if len(mix) != len(LAYERS) or set(mix) - {"0", "1"}:
        raise ClewError(f"{mix!r} is no mix: give five characters of 0 and 1, nginx first.", "make lattice")
    return mix


def expected(mix: str) -> tuple[str, ...]:
    """Return each hop's verdict: a fixed layer hands on what it was given, a broken nginx replaces the ID, any other
    broken layer hands on nothing."""
    carried = "kept"
    verdicts = []
    for layer, fixed in zip(LAYERS, checked_mix(mix), strict=True):
        if fixed == "0":
            carried = "replaced" if layer is LAYERS[0] else "missing"
        verdicts.append(carried)
    return tuple(verdicts)


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


def write_mix(mix: str, folder: Path, digit: int) -> None:
    """Make `folder` a runnable stage with the layers of `mix`, on the ports 80`digit`0 to 80`digit`9."""
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


def first_changed_line(number: int) -> int:
    """Return the first line of the stage's layer file that its fix added or changed, blank lines passed over."""
    layer = changed_layer(number)
    old = (stage(number - 1).folder / layer.file).read_text().splitlines()
    new = (stage(number).folder / layer.file).read_text().splitlines()
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changed = (line for kind, _, _, start, end in blocks if kind != "equal" for line in range(start, end))
    return next(line for line in changed if new[line].strip()) + 1


def readme(number: int) -> str:
    """Return the text of a stage's README."""
    this = stage(number)
    lines = [f"# Stage {number} · {this.title}", ""]
    run = [f"make stage-{number} up trace", f"make stage-{number} diff"] if number else ["make stage-0 up trace"]
    if number:
        layer = changed_layer(number)
        where = f"{layer.file}#L{first_changed_line(number)}"
        lines += [
            f"**Symptom.** {layer.symptom}",
            "",
            f"**Cause.** {layer.cause}",
            "",
            f"**Fix.** {layer.fix} Here it is: [`{layer.file}`, line {first_changed_line(number)}]({where}).",
            "",
            f"The whole difference to stage {number - 1}:",
            "",
            "```diff",
            *source_diff(number),
            "```",
        ]
    else:
        lines += [
            "Nothing crashes, every request is answered 201, every task succeeds. Only: the ID that the client sent",
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
    """Return what differs between the stage folders and what the two ends make of them, one sentence a difference."""
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
            f"stages/{this.slug}/{name} differs from what the two ends make"
            for name in sorted(wanted.keys() & present)
            if (this.folder / name).read_bytes() != wanted[name]
        ]
    return found


def rewrite() -> None:
    """Write stages 01 to 04 and all READMEs anew from the two ends."""
    for this in STAGE_LIST:
        if this not in (AS_FOUND, FIXED):
            shutil.rmtree(this.folder, ignore_errors=True)
        write_mix(this.mix, this.folder, this.number)
    for this in STAGE_LIST:
        (this.folder / "README.md").write_text(readme(this.number))
