"""The nine services as processes of this machine, under one supervisord per stack.

In: a Stack, and what stack/compose.yaml says about its services. Out: LocalDriver, which does what `drivers/base.py`
asks of every driver. All files of a running stack are in `.clew/<stack>/local/`, which `down` removes.

Start reading in `driver.py`. `programs.py` turns a service of the file into a process, `supervisord.py` writes
supervisord's configuration, starts it and calls it, `supervise.py` is what runs in supervisord itself, `processes.py`
finds, freezes and ends processes, `logfiles.py` reads logs across their rotation.
"""

from __future__ import annotations

from clew.stacks.drivers.local.driver import LocalDriver

__all__ = ["LocalDriver"]
