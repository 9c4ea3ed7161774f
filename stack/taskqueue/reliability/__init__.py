"""Durable tasks: what was answered 201 is done, whatever is killed on the way.

In: a task that the API is about to accept, a message that a worker is about to run. Out: a task in the ledger, on
disk, before the client is told; exactly one living worker that runs it; a final state in the end.

The ledger in Redis is the truth, a Celery message is only a hint: it may be lost, it may come twice. Start reading at
`ledger.py`, whose steps are Lua scripts in `lua/`; `task.py` is where a worker takes them, `reconciler.py` sends again
what has no message left. `intake.py` and `idempotency.py` are about one request, `breaker.py` about refusing,
`doubts.py` about a refusal that may have been none, `guard.py` and `dead_letters.py` about messages that cannot run.
"""
