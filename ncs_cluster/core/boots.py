"""Sticks are told to open one after another: each draws its most current while it boots, and a hub's supply is finite."""

from __future__ import annotations

from collections import deque

from ncs_cluster.types import StickId

EXCLUSIVE_MIN_S = 3.0
"""A boot from whose end something is to be learned has at least so long to itself."""
EXCLUSIVE_MAX_S = 15.0
"""And until its end, but no longer than this."""


class Boots:
    """Who may begin now."""

    def __init__(self, stagger_s: float) -> None:
        """`stagger_s`: from one beginning to the next; 0: all at once."""
        self._stagger_s = stagger_s
        self._waiting: deque[tuple[StickId, bool]] = deque()
        self._next_s = 0.0
        self._exclusive: StickId | None = None
        self._exclusive_until_s = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When the next one may begin; None when nobody waits."""
        return self._next_s if self._waiting else None

    @property
    def waiting(self) -> list[StickId]:
        return [stick for stick, _ in self._waiting]

    def request(self, stick: StickId, now_s: float, *, exclusive: bool = False) -> bool:
        """May it begin at once? If not it waits, until `next_due` names it. `exclusive`: the next one waits longer."""
        if not self._waiting and now_s >= self._next_s:
            self._begin(stick, now_s, exclusive)
            return True
        if all(stick != waiting for waiting, _ in self._waiting):
            self._waiting.append((stick, exclusive))
        return False

    def next_due(self, now_s: float) -> StickId | None:
        """The one whose turn has come, if any; ask again for the next."""
        if not self._waiting or now_s < self._next_s:
            return None
        stick, exclusive = self._waiting.popleft()
        self._begin(stick, now_s, exclusive)
        return stick

    def cancel(self, stick: StickId, now_s: float) -> None:
        """Its process has ended."""
        self._waiting = deque(each for each in self._waiting if each[0] != stick)
        self.finish(stick, now_s)

    def finish(self, stick: StickId, now_s: float) -> None:
        """Its boot is over, well or not."""
        if stick == self._exclusive:
            self._exclusive = None
            self._next_s = max(now_s, self._exclusive_until_s)

    def _begin(self, stick: StickId, now_s: float, exclusive: bool) -> None:
        self._exclusive = stick if exclusive else None
        self._exclusive_until_s = now_s + max(EXCLUSIVE_MIN_S, self._stagger_s)
        self._next_s = now_s + (max(EXCLUSIVE_MAX_S, self._stagger_s) if exclusive else self._stagger_s)
