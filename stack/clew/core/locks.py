"""One command at a time: a lock on a file, released when its holder ends, however that happens."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clew.core.wait import Deadline, wait_until


@contextmanager
def held(
    path: Path,
    seconds: float | Deadline,
    what: str,
    next_step: str,
    on_wait: Callable[[], object] = lambda: None,
) -> Iterator[int]:
    """Hold the lock on `path` in the block; `on_wait` is called once if another command holds it at first.

    Yields the open file's descriptor: a child process that inherits it keeps the lock until it ends.

    Raises:
        ClewError: another command still held it after `seconds`; `what` names that command.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:

        def taken() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not taken():
            on_wait()
            wait_until(taken, seconds, what, next_step)
        yield file.fileno()
