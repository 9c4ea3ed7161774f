"""Tests have ports, a state folder and container names of their own: a stack that you have up is left alone."""

import os
import shutil
import tempfile

os.environ["CLEW_PORTS"] = os.environ.get("CLEW_TEST_PORTS", "290")  # below those that outgoing connections get
os.environ["CLEW_STATE"] = tempfile.mkdtemp(prefix="clew test ")  # a space, as in many a home folder
for name in ("DRIVER", "PORT", "ID", "TYPE", "DATA", "SERVICE"):
    os.environ.pop(name, None)


def pytest_unconfigure() -> None:
    shutil.rmtree(os.environ["CLEW_STATE"], ignore_errors=True)
