"""The ledger's keys in Redis."""

from __future__ import annotations

TASKS = "ledger:tasks"  # hash: task ID -> entry (task name, kwargs, queue) as JSON
ACCEPTED = "ledger:accepted"  # sorted set: task ID by when it was accepted, in ms
RUNNING = "ledger:running"  # hash: task ID -> owner, the process of a worker that has claimed it
ATTEMPTS = "ledger:attempts"  # hash: task ID -> runs that were begun
DUE = "ledger:due"  # hash: task ID -> "ms/retries": when a retry is due, and its number
BREAKER = "ledger:breaker"  # hash: state, since (ms), probe (task ID)
LEADER = "ledger:leader"  # the worker that reconciles
