"""Names that the services and the clew tool share. Standard library only, and no other module of this project."""

from __future__ import annotations

import re

HEADER = "X-Request-ID"
# The `map` in the fixed stages' nginx.conf has the same pattern.
VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

HOPS = ("nginx", "routes", "task-service", "queue-service", "worker")
ID_FIELDS = ("correlation_id", "request_id", "task_id")  # of a log line

QUEUES = ("high", "medium", "low")
FINAL_STATES = ("SUCCESS", "FAILURE", "REVOKED")

WORKERS = ("celery-worker-1", "celery-worker-2", "celery-worker-3")
# With a worker's name: its key in Redis while it consumes from all queues; the value is when it began, in seconds since
# the epoch.
WORKER_KEY = "worker-alive:"

LIVE_PATH = "/health/live"  # the process answers; nothing else is asked
HEALTH_PATH = "/health"  # a task could be done now
METRICS_PATH = "/metrics"  # for Prometheus; nginx passes nobody on to it

# While this key exists, no worker consumes and none has its key. It is set with an expiry, and refreshed, by whoever
# looks at the queues.
HOLD_KEY = "workers-hold"

# With a worker's name: its key in Redis while its process lives, whatever it does. The value is the process's own.
LEASE_KEY = "worker-lease:"
# The ledger's hashes: accepted tasks, by task ID [task name, kwargs, queue] as JSON; and those that run.
LEDGER_TASKS_KEY, LEDGER_RUNNING_KEY = "ledger:tasks", "ledger:running"
DEAD_LETTERS_KEY = "dead-letters"
