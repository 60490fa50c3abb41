"""Waiting for a state."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], object], what: str = "the state", timeout_s: float = 60.0, pause_s: float = 0.02) -> None:
    """Returns once `holds` is true; asks again after `pause_s`. Fails after `timeout_s`, naming `what`."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until_s, f"not in {timeout_s:g} s: {what}"
        time.sleep(pause_s)
