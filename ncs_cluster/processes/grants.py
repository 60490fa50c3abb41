"""The slots that a camera process may write: the main thread receives them, the capture thread takes them. Runs on CPython 3.9."""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Deque, NamedTuple, Optional


class Granted(NamedTuple):
    """One slot, for one write."""

    pool: int
    slot: int


class Grants:
    """A queue between two threads, until `close`."""

    def __init__(self) -> None:
        self._waiting: Deque[Granted] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def add(self, pool: int, slot: int) -> None:
        with self._changed:
            self._waiting.append(Granted(pool, slot))
            self._changed.notify()

    def give_back(self, grant: Granted) -> None:
        """The slot was taken and not written."""
        with self._changed:
            self._waiting.appendleft(grant)

    def clear(self) -> None:
        with self._changed:
            self._waiting.clear()

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self, fits: Callable[[int], bool], *, wait: bool) -> Optional[Granted]:
        """The next grant whose pool `fits`. Grants of other pools are dropped: the supervisor has revoked them. None when no grant
        is left and `wait` is false, or after `close`."""
        with self._changed:
            while True:
                while wait and not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return None
                grant = self._waiting.popleft()
                if fits(grant.pool):
                    return grant
