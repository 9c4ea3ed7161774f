"""Settings, read once from the environment."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

RESULT_TTL_SECONDS = 7 * 24 * 3600
MAX_BODY_BYTES = 1024 * 1024
PASSWORD_SECONDS = 60  # all services start at the same time, and Redis makes the passwords
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
    redis_url: str = field(repr=False)  # it has a password
    ready_file: str
    durable: bool = True
    metrics_address: str = ""
    environment: str = "staging"

    @classmethod
    def from_environment(cls) -> Settings:
        """Read SERVICE_NAME, REDIS_URL, REDIS_PASSWORD_FILE, READY_FILE, SETTINGS, METRICS_ADDRESS and ENVIRONMENT.

        The password of the user that REDIS_URL names is in REDIS_PASSWORD_FILE, if that is set: what is in the
        environment can be read with `docker inspect`.

        Raises:
            ValueError: REDIS_URL is not a redis:// or rediss:// address, SETTINGS is neither durable nor stock,
                ENVIRONMENT is none of ENVIRONMENTS, or there is no password file after PASSWORD_SECONDS.
        """
        redis_url = os.getenv("REDIS_URL", "redis://localhost:6379/0")
        if not redis_url.startswith(("redis://", "rediss://")):
            raise ValueError(f"REDIS_URL is {redis_url!r}: set it to an address like redis://localhost:6379/0")
        if password_file := os.getenv("REDIS_PASSWORD_FILE"):
            redis_url = redis_url.replace("@", f":{_password(Path(password_file))}@", 1)
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


def _password(file: Path) -> str:
    deadline = time.monotonic() + PASSWORD_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            raise ValueError(
                f"There is no {file} after {PASSWORD_SECONDS} s: Redis makes it when it starts, see its log"
            )
        time.sleep(0.05)
    return file.read_text()


settings = Settings.from_environment()
