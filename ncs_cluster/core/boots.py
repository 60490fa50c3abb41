"""Sticks are told to open one after another: each draws its most current while it boots, and a hub's supply is finite."""

from __future__ import annotations

from collections import deque

from ncs_cluster.types import StickId

ALONE_S = 3.0
"""A boot from whose end something is to be learned has at least so long to itself."""
ALONE_MOST_S = 15.0
"""And until its end, but no longer than this."""


class Boots:
    """Who may begin now."""

    def __init__(self, stagger_s: float) -> None:
        """`stagger_s`: from one beginning to the next; 0: all at once."""
        self._stagger_s = stagger_s
        self._waiting: deque[tuple[StickId, bool]] = deque()
        self._next_s = 0.0
        self._alone: StickId | None = None
        self._alone_until_s = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When the next one may begin; None when nobody waits."""
        return self._next_s if self._waiting else None

    @property
    def waiting(self) -> list[StickId]:
        return [stick for stick, _ in self._waiting]

    def ask(self, stick: StickId, now_s: float, *, alone: bool = False) -> bool:
        """May it begin at once? If not it waits, until `due` names it. `alone`: the next one waits longer."""
        if not self._waiting and now_s >= self._next_s:
            self._began(stick, now_s, alone)
            return True
        if all(stick != waiting for waiting, _ in self._waiting):
            self._waiting.append((stick, alone))
        return False

    def due(self, now_s: float) -> StickId | None:
        """The one whose turn has come, if any; ask again for the next."""
        if not self._waiting or now_s < self._next_s:
            return None
        stick, alone = self._waiting.popleft()
        self._began(stick, now_s, alone)
        return stick

    def forget(self, stick: StickId, now_s: float) -> None:
        """Its process has ended."""
        self._waiting = deque(each for each in self._waiting if each[0] != stick)
        self.ended(stick, now_s)

    def ended(self, stick: StickId, now_s: float) -> None:
        """Its boot is over, well or not."""
        if stick == self._alone:
            self._alone = None
            self._next_s = max(now_s, self._alone_until_s)

    def _began(self, stick: StickId, now_s: float, alone: bool) -> None:
        self._alone = stick if alone else None
        self._alone_until_s = now_s + max(ALONE_S, self._stagger_s)
        self._next_s = now_s + (max(ALONE_MOST_S, self._stagger_s) if alone else self._stagger_s)
