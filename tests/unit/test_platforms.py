"""The command that installs what is missing, on each kind of system."""

import os
import shutil
import subprocess
import sys

import pytest

from clew.core.paths import STACK
from clew.provision import platforms

UBUNTU = 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
SYSTEMS = {
    "debian": 'ID=debian\nVERSION_ID="13"\n',
    "ubuntu": UBUNTU,
    "mint": 'ID=linuxmint\nID_LIKE="ubuntu debian"\n',
    "fedora": "# a comment\nID=fedora\nVERSION_ID=42\n",
    "rocky 9": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.5"\n',
    "rocky 10": 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n',
    "arch": "ID=arch\n",
    "manjaro": "ID=manjaro\nID_LIKE=arch\n",
    "alpine": "ID=alpine\nVERSION_ID=3.22.1\n",
    "plan 9": "ID=plan9\n",
}
APT = "sudo apt-get install --no-install-recommends nginx redis-server"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A Linux system with sudo and an ordinary user."""

    def become(name: str) -> None:
        (tmp_path / "os-release").write_text(SYSTEMS[name])
        monkeypatch.setattr(platforms, "OS_RELEASE", str(tmp_path / "os-release"))
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setattr(shutil, "which", lambda tool: f"/bin/{tool}" if tool == "sudo" else None)

    return become


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("debian", APT),
        ("ubuntu", APT),
        ("mint", APT),
        ("fedora", "sudo dnf install nginx valkey"),
        ("rocky 9", "sudo dnf install nginx redis"),
        ("rocky 10", "sudo dnf install nginx valkey"),
        ("arch", "sudo pacman -S nginx valkey"),
        ("manjaro", "sudo pacman -S nginx valkey"),
        ("alpine", "sudo apk add nginx valkey"),
        ("plan 9", "install nginx and redis with this system's package manager"),
    ],
)
def test_what_installs_nginx_and_redis(system, name, line):
    system(name)
    assert platforms.install_line("nginx", "redis") == line


def test_a_mac(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert platforms.install_line("nginx", "redis") == "brew install nginx redis"
    assert platforms.install_line("python") == "brew install python@3.13"


def test_root_needs_no_sudo_and_alpine_has_doas(system, monkeypatch):
    system("alpine")
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}" if tool == "doas" else None)
    assert platforms.install_line("redis") == "doas apk add valkey"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert platforms.install_line("redis") == "apk add valkey"


@pytest.mark.parametrize("need", ["python", "venv", "docker-plugins"])
@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "plan 9"])
def test_every_need_has_a_package_on_every_system(system, name, need):
    system(name)
    assert not platforms.install_line(need).endswith((" venv", " docker-plugins"))


def test_an_old_python_is_told_what_to_install(tmp_path):
    source = str(STACK / "bootstrap.py")
    pretend = f"import sys; sys.version_info = (3, 9, 2); __file__ = {source!r}; exec(open(__file__).read())"
    (tmp_path / "sh").symlink_to("/bin/sh")  # the only program on PATH: there is no newer Python
    command = [sys.executable, "-c", pretend]
    told = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith("Clew needs Python 3.11 or newer; ")
    assert "\nNext: " in told.stderr
    assert "python3" in told.stderr.partition("Next: ")[2] or "python@3" in told.stderr
