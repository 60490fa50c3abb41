"""The one thread of a device. Between two pictures it serves the device's link: a stick that its host does not ping resets itself.

Runs on CPython 3.9.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Optional, TypeVar

from ncs_cluster.errors import StickError
from ncs_cluster.processes.bench.device import Device

T = TypeVar("T")
LOOK_S = 0.02
"""Time between two looks for work while the device has none."""


class DeviceThread:
    """Runs calls one after another; all calls of one device are made here."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, name)
        self._lock = threading.Lock()
        self._waiting = 0
        """Calls that have not begun."""
        self._device: Optional[Device] = None
        self._error: Optional[StickError] = None

    def open(self, make: Callable[[], Device]) -> Future[Device]:
        """The device is served from now on."""
        return self.submit(self._open, make)

    def close(self) -> Future[None]:
        return self.submit(self._close)

    def submit(self, call: Callable[..., T], *arguments: Any) -> Future[T]:
        """Begin a call after those before. Its result raises StickError where the device has failed while it had no work."""
        with self._lock:
            self._waiting += 1
        called = self._executor.submit(self._call, call, *arguments)
        self._executor.submit(self._serve)
        return called

    def _call(self, call: Callable[..., T], *arguments: Any) -> T:
        with self._lock:
            self._waiting -= 1
        if self._error is not None:
            raise self._error
        return call(*arguments)

    def _serve(self) -> None:
        try:
            while self._device is not None and not self._waiting:
                self._device.serve(LOOK_S)
        except StickError as error:
            self._device, self._error = None, error

    def _open(self, make: Callable[[], Device]) -> Device:
        self._device = make()
        return self._device

    def _close(self) -> None:
        assert self._device is not None
        device, self._device = self._device, None
        device.close()
