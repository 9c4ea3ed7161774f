"""What a stack is, and bringing it up and down.

In: which stage or mix, on which ports, by which driver. Out: nine services that are ready, or an error that says what
is missing; and for whatever traces a request, the certainty that the services run the files on disk (`freshness`).
Nothing here ends what it did not start: ownership is checked before anything is started, a failed `up` ends only its
own services, and a process that uses the mixes' stack or the experiment's has it to itself (`lifecycle.reserved`).

Start reading at `stack.py`, then `lifecycle.py`; `ready.py` says which services do their work, `drivers/` runs them,
and `composefile.py` reads stack/compose.yaml, their one description.
"""
