"""The ledger's keys in Redis."""

from __future__ import annotations

from taskqueue import contract

TASKS = contract.LEDGER_TASKS_KEY  # hash: task ID -> entry (task name, kwargs, queue) as JSON
ACCEPTED = "ledger:accepted"  # sorted set: task ID by when it was accepted, in ms
RUNNING = contract.LEDGER_RUNNING_KEY  # hash: task ID -> owner, the process of a worker that has claimed it
ATTEMPTS = "ledger:attempts"  # hash: task ID -> runs that were begun
DUE = "ledger:due"  # hash: task ID -> "ms/retries": when a retry is due, and its number
BREAKER = "ledger:breaker"  # hash: state, since (ms), probe (task ID)
LEADER = "ledger:leader"  # the worker that reconciles
