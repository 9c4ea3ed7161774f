"""Notebooks run on local stacks here, so that these tests need no container engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def local_driver() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVER", "local")
        patch.delenv("CLEW_REPLAY", raising=False)
        yield
