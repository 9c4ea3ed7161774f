"""Finding, freezing and ending the processes of a stack."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil

from clew.core.wait import wait_until
from clew.stacks.services import NGINX, REDIS

MARK = "CLEW_STACK_STATE"  # in every process's environment, so that what a crash left behind is found again
# These write their title where the environment was; their working folder tells which stack they belong to.
OVERWRITE_ENVIRONMENT = {"nginx": NGINX, "redis-server": REDIS, "valkey-server": REDIS}
FREEZE_SECONDS = 5


def of_stack(home: Path) -> list[psutil.Process]:
    """Return every living process of the stack whose files are in `home`, its supervisord's too."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and _belongs(process, home):
                found.append(process)
    return found


def _belongs(process: psutil.Process, home: Path) -> bool:
    if process.name() in OVERWRITE_ENVIRONMENT:
        return Path(process.cwd()).is_relative_to(home)
    return bool(process.environ().get(MARK) == str(home))


def is_supervisor(process: psutil.Process) -> bool:
    """Tell whether a process of a stack is its supervisord."""
    with contextlib.suppress(psutil.Error):
        return any(argument.endswith("/supervise.py") for argument in process.cmdline())
    return False


def service_of(process: psutil.Process) -> str | None:
    """Return the service that a process of a stack belongs to, None for supervisord and for a process that ended."""
    with contextlib.suppress(psutil.Error):
        known = OVERWRITE_ENVIRONMENT.get(process.name())
        return known or process.environ().get("SUPERVISOR_PROCESS_NAME")
    return None


def is_frozen(pid: int) -> bool:
    """Tell whether a process is stopped by a signal."""
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a service, given its main process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def freeze(pid: int, what: str, next_step: str) -> None:
    """Stop a service's main process, its group and all their children.

    A process can start a child just before it is stopped, so they are listed again until a listing has only stopped
    processes.

    Raises:
        ClewError: some still ran after FREEZE_SECONDS.
    """
    signal_group(pid, signal.SIGSTOP)

    def all_frozen() -> bool:
        frozen = True
        for process in _family(pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                    process.suspend()
                    frozen = False
        return frozen

    wait_until(all_frozen, FREEZE_SECONDS, f"{what} to freeze", next_step, every=0.01)


def thaw(pid: int) -> None:
    """Let a service's processes run again."""
    signal_group(pid, signal.SIGCONT)
    for process in _family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def _family(pid: int) -> list[psutil.Process]:
    try:
        main = psutil.Process(pid)
        return [main, *main.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(processes: list[psutil.Process], seconds: float = 5) -> None:
    """End processes: gracefully, and after `seconds` at once."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
            process.resume()  # a frozen process cannot act on a signal
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=seconds)
