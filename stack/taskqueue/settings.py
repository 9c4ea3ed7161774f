"""Settings, read once from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

RESULT_TTL_SECONDS = 7 * 24 * 3600
MAX_BODY_BYTES = 1024 * 1024
ENVIRONMENTS = ("development", "staging", "production")


@dataclass(frozen=True)
class Settings:
    """What a service must know about its surroundings.

    `service_name` is the name in its log lines, `redis_url` the address of the broker and the results,
    `ready_file` a file that a worker keeps fresh while it consumes. `durable` is false where the stack runs with what
    Celery does by default, for comparison. `metrics_address`, a host and a port, is where a worker serves its metrics.
    `environment` says how much is logged.
    """

    service_name: str
    redis_url: str
    ready_file: str
    durable: bool = True
    metrics_address: str = ""
    environment: str = "staging"

    @classmethod
    def from_environment(cls) -> Settings:
        """Read SERVICE_NAME, REDIS_URL, READY_FILE, SETTINGS, METRICS_ADDRESS and ENVIRONMENT.

        Raises:
            ValueError: REDIS_URL is not a redis:// or rediss:// address, SETTINGS is neither durable nor stock,
                or ENVIRONMENT is none of ENVIRONMENTS.
        """
        redis_url = os.getenv("REDIS_URL", "redis://localhost:6379/0")
        if not redis_url.startswith(("redis://", "rediss://")):
            raise ValueError(f"REDIS_URL is {redis_url!r}: set it to an address like redis://localhost:6379/0")
        chosen = os.getenv("SETTINGS", "durable")
        if chosen not in ("durable", "stock"):
            raise ValueError(f"SETTINGS is {chosen!r}: set it to durable or stock")
        environment = os.getenv("ENVIRONMENT", "staging")
        if environment not in ENVIRONMENTS:
            raise ValueError(f"ENVIRONMENT is {environment!r}: set it to {', '.join(ENVIRONMENTS)}")
        return cls(
            service_name=os.getenv("SERVICE_NAME", "taskqueue"),
            redis_url=redis_url,
            ready_file=os.getenv("READY_FILE", "/tmp/worker-ready"),  # noqa: S108 - a container's own
            durable=chosen == "durable",
            metrics_address=os.getenv("METRICS_ADDRESS", ""),
            environment=environment,
        )


settings = Settings.from_environment()
