"""A device that one thread uses and any thread may close.

Vendor libraries crash when a device is released during a call of another thread. So the last one releases it: `close` when no
thread uses the device, else the using thread when it leaves. No caller waits for a blocked read.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Callable, Generic, Iterator, Optional, TypeVar

from ncs_cluster.errors import SourceError

T = TypeVar("T")


class Handle(Generic[T]):
    """Holds at most one open device."""

    def __init__(self, release: Callable[[T], None]) -> None:
        """`release` frees the device and does not raise."""
        self._release = release
        self._device: Optional[T] = None
        self._inside = threading.Lock()
        self._closing = threading.Event()

    def open(self, device: Callable[[], T]) -> T:
        """Hold the device that `device()` opens; release the one before. SourceError when closed meanwhile."""
        self.close()
        with self._inside:
            self._drop()
            self._closing.clear()
            self._device = opened = device()
        if self._closing.is_set():
            self._settle()
            raise SourceError("closed while it was being opened")
        return opened

    @contextmanager
    def using(self) -> Iterator[T]:
        """The device, safe from being released meanwhile. SourceError when it is closed."""
        try:
            with self._inside:
                if self._device is None or self._closing.is_set():
                    raise SourceError("the source is closed")
                yield self._device
        finally:
            if self._closing.is_set():
                self._settle()

    def pause(self, seconds: float) -> None:
        """Sleep inside `using`. SourceError as soon as the handle is closed."""
        if self._closing.wait(seconds) if seconds > 0 else self._closing.is_set():
            raise SourceError("the source is closed")

    def close(self) -> None:
        """From any thread, any number of times."""
        self._closing.set()
        self._settle()

    def _settle(self) -> None:
        if self._inside.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._inside.release()

    def _drop(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            self._release(device)
