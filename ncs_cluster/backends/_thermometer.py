"""Temperatures read in a thread of their own: the vendor's plugin blocks the caller, and the GIL, until it has its lock.

Runs on CPython 3.9.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional, Tuple

from ncs_cluster.backends import _mvnc_lock

MOMENT_S = 0.01
"""Seconds: a reading takes 0.5 ms while the lock is free."""


class Thermometer:
    """Reads repeatedly; gives the newest reading."""

    def __init__(self, read: Callable[[], float]) -> None:
        """`read` gives degrees Celsius, or raises RuntimeError when the stick is gone."""
        self._read = read
        self._asked, self._answered = threading.Event(), threading.Event()
        self._newest: Optional[Tuple[float, float]] = None
        self._error: Optional[RuntimeError] = None
        self._ended = False
        threading.Thread(target=self._work, name="thermometer", daemon=True).start()

    def newest(self, wait_s: float = MOMENT_S) -> Optional[Tuple[float, float]]:
        """Degrees Celsius and their time.monotonic(): taken now unless another process holds the lock. Raises RuntimeError."""
        self._answered.clear()
        self._asked.set()
        self._answered.wait(wait_s)
        if self._error is not None:
            raise self._error
        return self._newest

    def end(self) -> None:
        """Stop reading and drop `read`: the plugin closes a stick with its last reference."""
        self._ended = True
        self._read = _nothing
        self._asked.set()

    def _work(self) -> None:
        while True:
            self._asked.wait()
            with _mvnc_lock.held():
                if self._ended:
                    # the plugin may be closing under the same lock: the end of the process releases it
                    threading.Event().wait()
                self._asked.clear()
                try:
                    self._newest = self._read(), time.monotonic()
                except RuntimeError as error:
                    self._error = error
            self._answered.set()


def _nothing() -> float:
    raise RuntimeError("ended")
