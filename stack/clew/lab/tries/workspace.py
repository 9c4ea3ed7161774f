"""The working copy: the stage before a fix, in a folder of its own, where a learner edits one file."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clew import ladder
from clew.core.errors import ClewError
from clew.core.files import write_whole
from clew.core.paths import shown
from clew.core.wait import wait_until
from clew.lab.tries.hints import HINTS
from clew.stacks import lifecycle
from clew.stacks.drivers import Driver, Say, running_driver
from clew.stacks.stack import Stack, try_stack

DIGIT = 6  # of the stack's ports
REPLACE_SECONDS = 1  # for an editor that removes a file and writes another one
Saved = tuple[int, int, int]


@dataclass(frozen=True)
class Workspace:
    """What is being tried: to fix layer `number`. `hints` is how many were shown."""

    number: int
    hints: int = 0

    @property
    def layer(self) -> ladder.Layer:
        return ladder.changed_layer(self.number)

    @property
    def stack(self) -> Stack:
        return try_stack()

    @property
    def file(self) -> Path:
        """The file to edit."""
        return self.stack.folder / self.layer.file

    @property
    def command(self) -> str:
        return f"make try-{self.number}"

    @property
    def touched(self) -> bool:
        """Whether the layer's file is not as it was found."""
        return self.file.read_bytes() != ladder.source(self.layer, fixed=False).read_bytes()

    @property
    def saved(self) -> Saved:
        """What changes with each save of the file.

        Raises:
            ClewError: it is gone.
        """
        found = _stat(self.file)
        if found is None:
            with contextlib.suppress(ClewError):
                wait_until(lambda: _stat(self.file) is not None, REPLACE_SECONDS, "", "", every=0.02)
            found = _stat(self.file)
        if found is None:
            raise self.gone
        return found

    @property
    def gone(self) -> ClewError:
        """The error for a file that is not there."""
        return ClewError(f"The file to edit is gone: {shown(self.file)}.", self.command)

    def save(self) -> Workspace:
        write_whole(_note(), json.dumps(asdict(self)))
        return self

    def next_hint(self) -> str:
        """Return the next of the hints, and note that it was shown; after the last one, that one again."""
        hints = HINTS[self.layer.hop]
        count = min(self.hints + 1, len(hints))
        replace(self, hints=count).save()
        return f"Hint {count} of {len(hints)}: {hints[count - 1]}"


def _stat(file: Path) -> Saved | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _note() -> Path:
    return try_stack().state / "try.json"


def _put_away() -> Path:
    """The folder of the files that a check has replaced for a moment; it is there only while a check runs."""
    return try_stack().state / "put-away"


def _kept(number: int) -> Path:
    """The folder for what the learner wrote in a layer: the version that waits while they try another one, by the
    file's own name, and older ones."""
    folder = try_stack().folder
    return folder.with_name(f"{folder.name}-kept") / f"layer-{number}"


def noted() -> Workspace | None:
    """Return what is being tried; None when nothing is, or when its folder is gone."""
    if _put_away().is_dir():  # a check was killed; or it is under way, and then it has the reservation
        with contextlib.suppress(ClewError), reserved():
            pass
    return _noted()


def _noted() -> Workspace | None:
    found = _note_read()
    return found if found is not None and found.file.is_file() else None


def _note_read() -> Workspace | None:
    try:
        found = Workspace(**json.loads(_note().read_text()))
        return found if found.layer else None
    except (FileNotFoundError, ValueError, TypeError, ClewError, IndexError):
        return None


def current() -> Workspace:
    """Return what is being tried.

    Raises:
        ClewError: nothing is, or the file to edit is gone.
    """
    found = noted()
    if found is None:
        raise chosen(None).gone
    return found


def chosen(number: int | str | None) -> Workspace:
    """Return the working copy for a fix, without a number the one that is being tried; nothing is made or changed.

    Raises:
        ClewError: there is no such layer, or nothing is being tried.
    """
    if number is None:
        found = _note_read()
        if found is None:
            raise ClewError("Nothing is being tried: there is no working copy.", "make try-3")
        return found
    if str(number) not in {str(stage.number) for stage in ladder.STAGE_LIST[1:]}:
        raise ClewError(f"There is no fix {number}; the fixes are 1 to {ladder.FIXED.number}.", "make try-3")
    return Workspace(int(number))


@contextlib.contextmanager
def reserved() -> Iterator[None]:
    """Keep the working copy for this process in the block; what a killed check has left is put back first.

    Raises:
        ClewError: another command uses it.
    """
    with lifecycle.reserved(try_stack()):
        put_back()
        yield


def prepare(number: int | str, reset: bool = False) -> Workspace:
    """Make the working copy for a fix; one that is there for the same fix is left as it is, unless `reset`.

    What the learner wrote is never lost: when they turn to another layer their file is kept, and comes back with that
    layer; a reset keeps it as well, for them to look at, and so is kept what they wrote in another layer's file.

    Raises:
        ClewError: there is no such layer, or another command uses the working copy.
    """
    new = chosen(number)
    with reserved():
        return _prepared(new, reset)


def _prepared(new: Workspace, reset: bool) -> Workspace:
    before, number = _noted(), new.number
    if before is not None and before.number == number and not reset:
        return before
    _keep_all(before, number)
    _note().unlink(missing_ok=True)  # until the folder is whole, nothing is being tried
    ladder.write_mix(ladder.stage(number - 1).mix, new.stack.folder, DIGIT)
    waiting = _kept(number) / new.file.name
    if waiting.exists():
        if reset:
            _keep(waiting, number, ".before-reset")
        else:
            _replace(waiting, new.file)
    new.save()
    waiting.unlink(missing_ok=True)  # it is in the working copy now, or among those before a reset
    return new


def _keep_all(before: Workspace | None, number: int) -> None:
    """Keep what a learner has written in the working copy before it is made for fix `number`."""
    for of_layer, layer in enumerate(ladder.LAYERS, 1):
        file = try_stack().folder / layer.file
        if before is not None and before.number == of_layer != number and before.touched:
            waiting = _kept(of_layer) / file.name
            if waiting.exists():
                _keep(waiting, of_layer, ".older")
            _replace(file, waiting)
        elif before is not None and before.number == of_layer and before.touched:
            _keep(file, of_layer, ".before-reset")
        elif file.exists() and not _written(layer, file):
            _keep(file, of_layer, f".before-try-{number}")


def _written(layer: ladder.Layer, file: Path) -> bool:
    """Tell whether a file is one of the two written versions of its layer."""
    return file.read_bytes() in [ladder.source(layer, fixed).read_bytes() for fixed in (False, True)]


def write(work: Workspace, text: str) -> None:
    """Make `text` the layer's file; what a learner wrote there is kept in another file.

    Raises:
        ClewError: another command uses the working copy.
    """
    with reserved():
        if work.touched and work.file.read_text() != text:
            _keep(work.file, work.number, ".before-notebook")
        work.file.write_text(text)


def _keep(file: Path, number: int, ending: str) -> None:
    """Copy a file of layer `number` under a name of its own: a further one is called `….before-reset-2`."""
    content = file.read_bytes()
    for count in itertools.count(1):
        place = _kept(number) / f"{file.name}{ending}{'' if count == 1 else f'-{count}'}"
        if not place.exists():
            _replace(file, place)
        if place.read_bytes() == content:
            return


def _replace(source: Path, target: Path) -> None:
    """Copy a file so that nobody ever finds a part of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, unfinished)
    unfinished.replace(target)


def up(work: Workspace, say: Say) -> Driver:
    """Bring the working copy's nine services up, or make those that run follow its files.

    Raises:
        ClewError: a service did not become ready, or another command uses the working copy.
    """
    with reserved():
        return lifecycle.up(work.stack, say)[0]


def driver(work: Workspace) -> Driver:
    """Return the driver of the working copy, which must be up.

    Raises:
        ClewError: it is not.
    """
    found = running_driver(work.stack)
    if found is None:
        raise ClewError("The working copy is not up.", work.command)
    return found


@contextlib.contextmanager
def later_layers_fixed(work: Workspace) -> Iterator[None]:
    """Have the layers after the learner's fixed in the block, and as they were afterwards, also after a crash: the
    next command puts them back."""
    later = ladder.LAYERS[work.number :]
    away = _put_away()
    unfinished = away.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    for layer in later:
        (unfinished / layer.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(work.stack.folder / layer.file, unfinished / layer.file)
    unfinished.replace(away)
    try:
        for layer in later:
            _replace(ladder.source(layer, fixed=True), work.stack.folder / layer.file)
        yield
    finally:
        put_back()


def put_back() -> None:
    """Put the files back that a check has replaced for a moment; what was written there meanwhile stays."""
    away = _put_away()
    if not away.is_dir():
        return
    for number, layer in enumerate(ladder.LAYERS, 1):
        before, now = away / layer.file, try_stack().folder / layer.file
        if not before.exists():
            continue
        if not now.exists() or _written(layer, now):
            _replace(before, now)
        elif not _written(layer, before) and before.read_bytes() != now.read_bytes():
            _keep(before, number, ".before-check")
    shutil.rmtree(away)
