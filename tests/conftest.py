"""Tests have ports, a state folder and container names of their own: a stack that you have up is left alone."""

import os
import shutil
import signal
import tempfile

import pytest

os.environ["CLEW_PORTS"] = os.environ.get("CLEW_TEST_PORTS", "290")  # below those that outgoing connections get
os.environ["CLEW_STATE"] = tempfile.mkdtemp(prefix="clew test ")  # a space, as in many a home folder
for name in ("DRIVER", "PORT", "ID", "TYPE", "DATA", "SERVICE"):
    os.environ.pop(name, None)

# Ignored after `… &` in a script and after `nohup`; the commands under test would inherit that.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def temporary_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Choose pytest's own temporary folder before a test changes TMPDIR."""
    tmp_path_factory.getbasetemp()


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["CLEW_STATE"], ignore_errors=True)
