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

# Each key of this form in Redis is one worker that consumes; its value is when it began, in seconds since the epoch.
WORKER_KEY = "worker-alive:"
