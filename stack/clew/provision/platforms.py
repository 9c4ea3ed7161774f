"""The command that installs what is missing, for the system that this is.

`stack/bootstrap.py` runs this file with a Python that may be too old for Clew, so it imports nothing of clew and uses
nothing that is newer than Python 3.7.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

INSTALL = {
    "debian": "apt-get install --no-install-recommends",
    "fedora": "dnf install",
    "enterprise": "dnf install",
    "arch": "pacman -S",
    "alpine": "apk add",
    "macos": "brew install",
}
# What something is called where its package does not have its name.
PACKAGES = {
    "redis": {"debian": "redis-server", "fedora": "valkey", "arch": "valkey", "alpine": "valkey"},
    "python": {
        "debian": "python3.11 python3.11-venv",
        "fedora": "python3.12",
        "enterprise": "python3.12",
        "alpine": "python3",
        "macos": "python@3.13",
    },
    "venv": {
        "debian": f"python3.{sys.version_info[1]}-venv",
        "fedora": "python3.12",
        "enterprise": "python3.12",
        "arch": "python",
        "alpine": "python3",
        "macos": "python@3.13",
    },
    "docker-plugins": {
        "debian": "docker-compose-v2 docker-buildx",
        "fedora": "docker-compose docker-buildx",
        "enterprise": "docker-compose-plugin docker-buildx-plugin",
        "arch": "docker-compose docker-buildx",
        "alpine": "docker-cli-compose docker-cli-buildx",
        "macos": "docker-compose docker-buildx",
    },
}
FAMILIES = {
    "debian": "debian",
    "ubuntu": "debian",
    "rhel": "enterprise",
    "centos": "enterprise",
    "fedora": "fedora",
    "arch": "arch",
    "alpine": "alpine",
}
OS_RELEASE = "/etc/os-release"


def os_release() -> dict[str, str]:
    """Return what Linux distributions say about themselves; empty elsewhere."""
    try:
        text = Path(OS_RELEASE).read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = [line.strip().partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {name: value.strip("\"'") for name, _, value in lines}


def family() -> str:
    """Return a key of INSTALL, nothing for a system that is not known here. WSL is the distribution that runs in it."""
    if sys.platform == "darwin":
        return "macos"
    release = os_release()
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((FAMILIES[name] for name in names if name in FAMILIES), "")


def install_line(*needs: str) -> str:
    """Return the command that installs programs: keys of PACKAGES, or names that are the same everywhere."""
    kind = family()
    if not kind:
        return f"install {' and '.join(needs)} with this system's package manager"
    major = os_release().get("VERSION_ID", "").partition(".")[0]
    packages = [PACKAGES.get(need, {}).get(kind, need) for need in needs]
    if kind == "enterprise" and major.isdigit() and int(major) >= 10:  # it has Redis's fork instead
        packages = ["valkey" if package == "redis" else package for package in packages]
    line = f"{INSTALL[kind]} {' '.join(packages)}"
    if kind == "macos" or os.geteuid() == 0:
        return line
    return f"doas {line}" if shutil.which("doas") and not shutil.which("sudo") else f"sudo {line}"
