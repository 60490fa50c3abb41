"""The order and the times of the sticks' boots: a stick draws its highest current while it boots, and a USB hub's supply is
limited.

It decides when a boot may begin. Whether a boot succeeds or takes too long is decided by `child`.
"""

from __future__ import annotations

from collections import deque

from ncs_cluster.types import StickId

EXCLUSIVE_MIN_S = 3.0
"""Least time from the beginning of an exclusive boot to the next boot: the port at which its stick returns is learned in it."""
EXCLUSIVE_MAX_S = 15.0
"""The longest time the next boot waits for the end of an exclusive boot, and an exclusive boot for the end of those before it."""


class Boots:
    """A queue of boots, oldest request first."""

    def __init__(self, stagger_s: float) -> None:
        """`stagger_s`: least time between the beginnings of two boots; 0: all boots at once."""
        self._stagger_s = stagger_s
        self._waiting: deque[tuple[StickId, bool]] = deque()
        self._next_s = 0.0
        self._exclusive: StickId | None = None
        self._exclusive_until_s = 0.0
        self._begun_s: dict[StickId, float] = {}
        """Start time of each boot under way."""

    @property
    def deadline_s(self) -> float | None:
        """When the next boot may begin; None when none waits."""
        return self._due_s(exclusive=self._waiting[0][1]) if self._waiting else None

    def _due_s(self, *, exclusive: bool) -> float:
        """An exclusive boot begins after the end of all others: a stick that comes back meanwhile would be mistaken for its."""
        if not exclusive or not self._begun_s:
            return self._next_s
        return max(self._next_s, max(self._begun_s.values()) + EXCLUSIVE_MAX_S)

    @property
    def waiting(self) -> list[StickId]:
        return [stick for stick, _ in self._waiting]

    def request(self, stick: StickId, now_s: float, *, exclusive: bool = False) -> bool:
        """True: the boot begins now. False: it is queued until `next_due` returns the stick. `exclusive`: it begins when no other
        boot is under way, and no other begins until it ends, for at least EXCLUSIVE_MIN_S and at most EXCLUSIVE_MAX_S."""
        self._begun_s.pop(stick, None)
        if not self._waiting and now_s >= self._due_s(exclusive=exclusive):
            self._begin(stick, now_s, exclusive)
            return True
        if all(stick != waiting for waiting, _ in self._waiting):
            self._waiting.append((stick, exclusive))
        return False

    def next_due(self, now_s: float) -> StickId | None:
        """The stick whose boot begins now; None when none is due. Call it until it returns None."""
        if not self._waiting or now_s < self._due_s(exclusive=self._waiting[0][1]):
            return None
        stick, exclusive = self._waiting.popleft()
        self._begin(stick, now_s, exclusive)
        return stick

    def cancel(self, stick: StickId, now_s: float) -> None:
        """The stick's process has exited: its request is removed, its boot is over."""
        self._waiting = deque(each for each in self._waiting if each[0] != stick)
        self.finish(stick, now_s)

    def finish(self, stick: StickId, now_s: float) -> None:
        """The stick's boot is over, whether it succeeded or not."""
        self._begun_s.pop(stick, None)
        if stick == self._exclusive:
            self._exclusive = None
            self._next_s = max(now_s, self._exclusive_until_s)

    def _begin(self, stick: StickId, now_s: float, exclusive: bool) -> None:
        self._begun_s[stick] = now_s
        self._exclusive = stick if exclusive else None
        self._exclusive_until_s = now_s + max(EXCLUSIVE_MIN_S, self._stagger_s)
        self._next_s = now_s + (max(EXCLUSIVE_MAX_S, self._stagger_s) if exclusive else self._stagger_s)
