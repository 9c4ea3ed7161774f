"""Three ways to carry an ID: by hand, in a context variable and a message's header, with OpenTelemetry.

In: the few files of each way, in `stack/ways`, and a stage that they are laid over. Out: what a run of the nine
services shows, what reaches a retry, a chain, a thread, and what a POST costs. Start reading at `folder.py`;
`trial.py` runs the nine services, `cases.py` a small program, `cost.py` measures, `compare.py` makes the table of it,
and `experiment.py` is what a notebook calls.
"""
