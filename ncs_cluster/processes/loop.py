"""The wait of the event loop: calls back for each descriptor that is ready.

epoll is used without the module `selectors`, which takes twice the time for a ready descriptor: a supervisor of 64 sticks waits
thousands of times per second.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Loop:
    """Watched descriptors, each with its callback. A callback may watch and forget descriptors."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, callback: Callable[[int], None], events: int = READ) -> None:
        """Call `callback(ready)` in each turn in which the descriptor is ready; `ready` has READ, WRITE or both. An error or the
        end of the file is READ. A watched descriptor gets new `events` and a new callback."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Call it before the descriptor is closed."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def turn(self, timeout_s: float) -> None:
        """Wait until a descriptor is ready, `timeout_s` at most, and call back once for each that is."""
        # epoll counts whole milliseconds: rounded down, the last one before a deadline would be spent in a busy loop
        ready = [(fd, events, self._callbacks[fd]) for fd, events in self._epoll.poll(math.ceil(timeout_s * 1000) / 1000)]
        for fd, events, callback in ready:
            # a callback of this turn may have forgotten this descriptor, and its number may be in use again
            if self._callbacks.get(fd) is callback:
                callback((events & WRITE) | (READ if events & ~WRITE else 0))

    def close(self) -> None:
        self._epoll.close()
