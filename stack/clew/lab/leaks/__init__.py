"""The leak lab: fifty requests that cross each other, on workers that carry the ID in three ways.

In: three versions of the worker's file, in `workers`. Out: for every log line that names a task and an ID, whether it
is that task's own ID, none, or another request's. Start reading at `judge.py`, which decides that; `trial.py` runs it.
"""
