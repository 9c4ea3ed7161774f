"""nginx and Redis: found, unpacked, or a line that installs them."""

import shutil
import subprocess
import sys

import pytest

from clew.core.errors import ClewError
from clew.provision import programs


def test_wrapper_brings_the_libraries(tmp_path, write):
    tree = tmp_path / "unpacked here"
    program = write(tree / "usr/sbin/prog", '#!/bin/sh\necho "$LD_LIBRARY_PATH|$*|$$"\n')
    program.chmod(0o755)
    write(tree / "usr/lib/x86_64-linux-gnu/libx.so.1", "")
    wrapper = programs.write_wrapper(tree, "prog")
    process = subprocess.Popen([wrapper, "-p", "a b"], stdout=subprocess.PIPE, text=True)
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    assert process.communicate()[0] == f"{libraries}|-p a b|{process.pid}\n"


@pytest.mark.parametrize("ensure", [programs.ensure_nginx, programs.ensure_redis])
def test_machine_without_a_known_package_manager(checkout, monkeypatch, ensure):
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(ClewError, match=r"not on this machine\.\nNext: .*install.*nginx.*redis"):
        ensure(print)
    assert not (checkout / ".clew").exists()


@pytest.mark.parametrize(("tool", "line"), [("dnf", "sudo dnf install nginx"), ("apk", "sudo apk add nginx")])
def test_install_line_fits_the_machine(monkeypatch, tool, line):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == tool else None)
    assert programs.install_line().startswith(line)


def test_install_line_of_a_mac(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert programs.install_line() == "brew install nginx redis"


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_unpacked_program_is_found(checkout, monkeypatch, write, name):
    monkeypatch.setenv("PATH", str(checkout))
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", "/nonexistent")
    assert programs.find_redis() is None
    program = write(checkout / ".clew/cache/debs" / name / name, "")
    program.chmod(0o755)
    assert programs.find_redis() == program
