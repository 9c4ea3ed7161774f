"""Load with IDs counted: requests sent to a stack when they are due, and each looked for in the workers' logs.

In: a stack that is up, the name of a scenario, and seconds. Out: a `Counted`, and a folder in the stack's state with
Locust's report (HTML), `result.json` and every request's outcome. Only this machine's own addresses are loaded.

Start reading at `scenarios.py`; `run.py` runs one and counts. `attack.py` is a process of its own: Locust needs gevent,
which replaces what the rest of the program is built on.
"""
