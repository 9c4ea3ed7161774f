"""Drills: a claim about the stack, tested under load while something is broken on purpose, and counted.

In: the name of a drill, a seed, and whether the stack runs with its durable settings or with the defaults of Celery,
Redis and nginx. Out: a `Result` with a verdict (held, broken, unknown), every count, and a folder in `.clew/drills`.
What is counted comes from logs and the API, never from the ledger that is judged. Nothing here prints.

Start reading at `book/workers.py`, which has whole drills; `run.py` runs one. `scene.py` is what a drill acts on:
`load.py` sends, `faults.py` breaks, `watch.py` looks. `settle.py` waits for the end, `account.py` counts, `judge.py`
gives the verdict, `saved.py` keeps it.
"""
