"""Sticks are told to open one after another: each draws its most current while it boots, and a hub's supply is finite."""

from __future__ import annotations

from collections import deque

from ncs_cluster.types import StickId


class Boots:
    """Who may begin now."""

    def __init__(self, stagger_s: float) -> None:
        """`stagger_s`: from one beginning to the next; 0: all at once."""
        self._stagger_s = stagger_s
        self._waiting: deque[StickId] = deque()
        self._next_s = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When the next one may begin; None when nobody waits."""
        return self._next_s if self._waiting else None

    def ask(self, stick: StickId, now_s: float) -> bool:
        """May it begin at once? If not it waits, until `due` names it."""
        if not self._waiting and now_s >= self._next_s:
            self._next_s = now_s + self._stagger_s
            return True
        if stick not in self._waiting:
            self._waiting.append(stick)
        return False

    def due(self, now_s: float) -> StickId | None:
        """The one whose turn has come, if any; ask again for the next."""
        if not self._waiting or now_s < self._next_s:
            return None
        self._next_s = now_s + self._stagger_s
        return self._waiting.popleft()

    def forget(self, stick: StickId) -> None:
        """Its process has ended."""
        if stick in self._waiting:
            self._waiting.remove(stick)
