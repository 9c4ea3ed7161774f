"""nginx and Redis: found, unpacked, or a line that installs them."""

import shutil
import subprocess

import pytest

from clew.core.errors import ClewError
from clew.provision import platforms, programs


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
    monkeypatch.setattr(platforms, "OS_RELEASE", "/nonexistent")
    with pytest.raises(ClewError, match=r"not on this machine\.\nNext: .*install.*nginx.*redis"):
        ensure(print)
    assert not (checkout / ".clew").exists()


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_unpacked_program_is_found(checkout, monkeypatch, write, name):
    monkeypatch.setenv("PATH", str(checkout))
    monkeypatch.setattr(programs, "SYSTEM_FOLDERS", "/nonexistent")
    assert programs.find_redis() is None
    program = write(checkout / ".clew/cache/debs" / name / name, "")
    program.chmod(0o755)
    assert programs.find_redis() == program
