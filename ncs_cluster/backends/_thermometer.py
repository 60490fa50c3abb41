"""Temperatures read in a thread of its own, because the vendor's plugin makes whoever asks wait for its lock, and Python with him.

Runs on CPython 3.9.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional, Tuple

from ncs_cluster.backends import _mvnc_lock

MOMENT_S = 0.01
"""What a reading takes where nobody holds the lock: half a millisecond, and some."""


class Thermometer:
    """Asked again and again; answers with the newest reading there is."""

    def __init__(self, read: Callable[[], float]) -> None:
        """`read` gives degrees Celsius, or raises RuntimeError when the stick is gone."""
        self._read = read
        self._asked, self._answered = threading.Event(), threading.Event()
        self._newest: Optional[Tuple[float, float]] = None
        self._error: Optional[RuntimeError] = None
        self._ended = False
        threading.Thread(target=self._work, name="thermometer", daemon=True).start()

    def newest(self, wait_s: float = MOMENT_S) -> Optional[Tuple[float, float]]:
        """Degrees Celsius, and time.monotonic() of that: just now, if no other process holds the lock. Raises RuntimeError."""
        self._answered.clear()
        self._asked.set()
        self._answered.wait(wait_s)
        if self._error is not None:
            raise self._error
        return self._newest

    def end(self) -> None:
        """Ask no more, and let go of whatever is asked: the plugin closes a stick when nobody holds it."""
        self._ended = True
        self._read = _nothing
        self._asked.set()

    def _work(self) -> None:
        while True:
            self._asked.wait()
            with _mvnc_lock.held():
                if self._ended:
                    # the plugin may be closing, under the same lock: the end of the process gives it back
                    threading.Event().wait()
                self._asked.clear()
                try:
                    self._newest = self._read(), time.monotonic()
                except RuntimeError as error:
                    self._error = error
            self._answered.set()


def _nothing() -> float:
    raise RuntimeError("ended")
