"""What tests of the backend xlink share."""

from __future__ import annotations

import time
from collections.abc import Callable

from ncs_cluster.errors import StickError
from tests.backends.numbered import Driver

PORT = "1-1.2"
QUICK_STICK = {"boot_s": 0.05, "reset_s": 0.05, "latency_s": 0.002}

Drive = Callable[..., Driver]


def lost(driver: Driver, timeout_s: float = 60.0, *, fill: bool = False) -> StickError:
    """The error that ends the link. It may come as soon as something is said to the stick, so `fill` belongs to it."""
    until_s = time.monotonic() + timeout_s
    try:
        if fill:
            driver.fill()
        while time.monotonic() < until_s:
            driver.turn(0.1)
    except StickError as error:
        return error
    raise AssertionError("nothing happened")
