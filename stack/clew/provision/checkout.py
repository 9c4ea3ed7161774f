"""One command at a time sets up this checkout, and what to type when something is in the way."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clew.core import locks, paths
from clew.core.errors import ClewError

Say = Callable[[str], object]


@contextmanager
def one_at_a_time(name: str, say: Say, seconds: float = 900.0) -> Iterator[int]:
    """Hold one of this checkout's locks in the block; yield its descriptor, which a child process may inherit.

    Raises:
        ClewError: another command still held it after `seconds`, or nothing can be written here.
    """
    path = paths.SETUP / f"{name}.lock"
    waiting = "Another command is setting up this checkout; waiting for it"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise not_writable(path, error) from error
    what, next_step = f"the command that holds {path}", f"fuser -v {shlex.quote(str(path))}"
    with locks.held(path, seconds, what, next_step, lambda: say(waiting)) as lock:
        yield lock


def not_writable(path: Path | str, error: OSError) -> ClewError:
    """Return what to tell a person on whose machine `path` cannot be written."""
    message = f"Cannot write {path}: {error.strerror}."
    root = shlex.quote(str(paths.ROOT))
    if error.errno == errno.ENOSPC:
        return ClewError(message, "df -h .")
    if error.errno == errno.EROFS or not os.access(paths.ROOT, os.W_OK):
        return ClewError(message, f"cp -r {root} ~/clew && cd ~/clew")
    inside = Path(path).relative_to(paths.ROOT) if Path(path).is_relative_to(paths.ROOT) else Path()
    top = paths.ROOT.joinpath(*inside.parts[:1])
    shown = shlex.quote(str(top))
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return ClewError(message, f"mv {shown} {shlex.quote(f'{top}.old')}")
    if _all_ours(top):
        return ClewError(message, f"chmod -R u+rwX {shown}")
    return ClewError(message, f"sudo chown -R $(id -u):$(id -g) {shown}")  # a command that ran as root made it


def _all_ours(top: Path) -> bool:
    """Tell whether this user owns a folder, and every folder in it that can be looked into."""
    folders = [Path(folder) for folder, _, _ in os.walk(top)] or [top]
    return all(not folder.exists() or folder.stat().st_uid == os.geteuid() for folder in folders)


def again(advice: str) -> str:
    """Return the command that the person typed if the Makefile noted it, else `advice`."""
    return os.environ.get("CLEW_COMMAND") or advice
