"""nginx and Redis: found on this machine, or unpacked under `.clew/cache`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from clew.core import paths
from clew.core.errors import ClewError
from clew.core.processes import run, tail
from clew.provision.checkout import Say, not_writable, one_at_a_time
from clew.provision.debian import unpack_debs
from clew.provision.platforms import install_line

PROMETHEUS = ("prometheus", "prometheus-alertmanager", "prometheus-redis-exporter", "prometheus-nginx-exporter")
ALERTMANAGER_SHARE = "/usr/share/prometheus/alertmanager"
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin"  # often not on an ordinary user's PATH


def find_nginx() -> Path | None:
    """Return nginx's program, None where it is neither on this machine nor unpacked."""
    return _find("nginx")


def find_redis() -> Path | None:
    """Return Redis's server, or that of its fork Valkey; None where there is neither."""
    return _find("redis-server") or _find("valkey-server")


def ensure_nginx(say: Say) -> Path:
    """Return nginx's program, unpacked from Debian's package if it is not on this machine.

    Raises:
        ClewError: it cannot be had here; the message ends with the command that installs it.
    """
    return find_nginx() or _fetch_program("nginx", say)


def ensure_redis(say: Say) -> Path:
    """Return Redis's server, unpacked from Debian's package if it is not on this machine.

    Raises:
        ClewError: as for `ensure_nginx`.
    """
    return find_redis() or _fetch_program("redis-server", say)


def ensure_prometheus(say: Say) -> Path:
    """Return the folder with Prometheus, its Alertmanager, promtool and two exporters, unpacked from Debian's packages.

    They are never installed: Debian's packages would start them.

    Raises:
        ClewError: they cannot be had here; the message says what to do.
    """
    target = paths.CACHE / "debs/prometheus"
    advice = "use Prometheus in a container: docs/seeing/metrics.md"
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ClewError("Prometheus is unpacked from Debian's packages, and this is not Debian.", advice)
    with one_at_a_time("packages", say):
        if not target.exists():
            say("Unpacking Prometheus from Debian's packages into .clew/cache (once; 155 MB, a few seconds)")
            try:
                unpack_debs(PROMETHEUS, target, advice, dependencies=False)
                look_in_its_own_folder(target / "usr/bin/prometheus-alertmanager")
            except OSError as error:
                raise not_writable(target, error) from error
    return target / "usr/bin"


def look_in_its_own_folder(alertmanager: Path) -> None:
    """Have Alertmanager read its templates from the folder where it is started, instead of ALERTMANAGER_SHARE.

    Debian's is built with that path and has no option for it. A path of the same length takes its place: several
    slashes are one.
    """
    share = ALERTMANAGER_SHARE.encode()
    alertmanager.write_bytes(alertmanager.read_bytes().replace(share, b"." + b"/" * (len(share) - 1)))


def _find(name: str) -> Path | None:
    folders = (os.environ.get("PATH", os.defpath), SYSTEM_FOLDERS, str(paths.CACHE / "debs" / name))
    found = shutil.which(name, path=os.pathsep.join(folders))
    return Path(found) if found else None


def _fetch_program(name: str, say: Say) -> Path:
    """Unpack the Debian package that has its program's name."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise ClewError(f"{name} is not on this machine.", install_line("nginx", "redis"))
    target = paths.CACHE / "debs" / name
    with one_at_a_time("packages", say):
        if found := _find(name):
            return found
        say(f"Unpacking {name} from the system's package source into .clew/cache (once; a few seconds)")
        try:
            unpack_debs([name], target, install_line("nginx", "redis"), dependencies=True)
            program = write_wrapper(target, name)
        except OSError as error:
            raise not_writable(target, error) from error
        ran = run([program, "-v"], 10)
        if ran.code != 0:
            shutil.rmtree(target)
            raise ClewError(
                f"The unpacked {name} does not run here:\n{tail(ran.output)}", install_line("nginx", "redis")
            )
    return program


def write_wrapper(tree: Path, name: str) -> Path:
    """Write a start script, so that callers need not know where the program and its libraries are; return its path."""
    program = tree / "usr/sbin" / name
    if not program.exists():
        program = tree / "usr/bin" / name
    folders = sorted({path.parent.relative_to(tree) for path in tree.glob("**/lib/**/*.so*")})
    libraries = ":".join(f"$here/{folder}" for folder in folders)
    wrapper = tree / name
    wrapper.write_text(
        "#!/bin/sh\n"
        'here=$(cd "$(dirname "$0")" && pwd)\n'
        f'LD_LIBRARY_PATH="{libraries}" exec "$here/{program.relative_to(tree)}" "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper
