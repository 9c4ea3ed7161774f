"""Two ways to run the same nine services, behind one small interface."""

from __future__ import annotations

from clew.stacks.drivers.base import Driver, Say
from clew.stacks.drivers.choice import choose, driver_of, running_driver

__all__ = ["Driver", "Say", "choose", "driver_of", "running_driver"]
