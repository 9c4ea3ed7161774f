"""Reading a service's log, which supervisord rotates: `x.log` continues where `x.log.1` ends, often within a line."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clew.core.lines import parse_line

CHUNK = 256 * 1024


def lines(path: Path, since: float | None = None) -> list[str]:
    """Return the lines of a log from all its files, the oldest first.

    Chunks that have only lines from before `since` (seconds since the epoch) are left out.
    """
    chunks: deque[bytes] = deque()
    with contextlib.ExitStack() as opened:
        for chunk in _backwards([opened.enter_context(file) for file in _files(path)]):
            chunks.appendleft(chunk)
            if since is not None and _begins_before(chunk, since):
                chunks[0] = chunk.partition(b"\n")[2]  # the first line may be cut
                break
    content = b"".join(chunks)
    return content.decode(errors="replace").split("\n") if content else []


def _files(path: Path) -> list[BinaryIO]:
    """Open the files of a log, the newest first.

    When supervisord rotates the log between two calls of `open`, both get the same file; it is used once.
    """
    found: list[BinaryIO] = []
    for name in (path.name, f"{path.name}.1"):
        with contextlib.suppress(FileNotFoundError):
            file = path.with_name(name).open("rb")
            if found and os.path.sameopenfile(file.fileno(), found[0].fileno()):
                file.close()
            else:
                found.append(file)
    return found


def _backwards(files: list[BinaryIO]) -> Iterator[bytes]:
    for file in files:
        position = file.seek(0, os.SEEK_END)
        while position > 0:
            step = min(CHUNK, position)
            position = file.seek(position - step)
            yield file.read(step)


def _begins_before(chunk: bytes, since: float) -> bool:
    """Tell whether the first JSON line that is whole in a piece of a log is older than `since`."""
    for line in chunk.split(b"\n")[1:-1]:
        when = parse_line("", line.decode(errors="replace")).get("ts")
        if isinstance(when, int | float):
            return when < since
    return False
