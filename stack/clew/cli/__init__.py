"""The commands: `python -m clew VERB STAGE`, which is what `make stage-N VERB` calls.

In: what was typed; DRIVER and CLEW_PORTS from the environment; from make also CLEW_ID, CLEW_TYPE, CLEW_DATA,
CLEW_SERVICE, CLEW_PORT, CLEW_REQUEUE and CLEW_DROP. Out: text or JSON on standard output; errors with the next command
to type on standard error; exit code 0, 1 (a known problem), 2 (wrong usage) or 130 (interrupted). Start reading at
`main.py`; `stage.py` has the commands on one stage, `operate.py` those on one that is in use, `many.py` those on all.
"""

from clew.cli.main import cli, main

__all__ = ["cli", "main"]
