"""What a machine must have: Debian's programs, Docker's plugins and images.

In: what is on this machine. Out: programs found or unpacked (`ensure_nginx`, `ensure_redis`), Docker made ready
(`docker_state`, `ensure_compose`, `ensure_stack_image`), or a `ClewError` with the command that installs what is
missing.

Nothing is installed into the system. Packages are unpacked under `.clew/cache`, with or without root: an
installed nginx or Redis would start as a service, at once and at every boot, and take ports 80 and 6379.
Only the standard library: `stack/bootstrap.py` imports this package before anything is installed.
Start reading in `programs.py`, then `docker.py`; both fetch packages through `debian.py`.
"""

from clew.provision.checkout import again, not_writable, one_at_a_time
from clew.provision.debian import debian_mirror, plain_mirror, unpack_debs
from clew.provision.docker import (
    IMAGE,
    DockerState,
    ImageUnavailable,
    build,
    build_command,
    docker_state,
    engine_version,
    ensure_base_image,
    ensure_compose,
    ensure_stack_image,
)
from clew.provision.programs import ensure_nginx, ensure_prometheus, ensure_redis, find_nginx, find_redis

__all__ = [
    "IMAGE",
    "DockerState",
    "ImageUnavailable",
    "again",
    "build",
    "build_command",
    "debian_mirror",
    "docker_state",
    "engine_version",
    "ensure_base_image",
    "ensure_compose",
    "ensure_nginx",
    "ensure_prometheus",
    "ensure_redis",
    "ensure_stack_image",
    "find_nginx",
    "find_redis",
    "not_writable",
    "one_at_a_time",
    "plain_mirror",
    "unpack_debs",
]
