"""The policy of MultiStickSSDwithRealSense.py, as its code has it: the reference that fails.

Clusters of K sticks take turns by a timer, or when a stick of the active cluster was at or over the switch temperature. A stick
measures itself while it works; without the turn its last value stays, however long it cools. The loop looks at these values every
2 ms. When the values of all clusters are hot, it passes the turn at every look: each stick is active for a moment at a time, long
enough to begin an inference, so all of them work nearly without a break, and stay hot. After a heat wave this never ends.
"""

from __future__ import annotations

LOOKS_PER_S = 500.0


class Original:
    """As CorePool, for `count` sticks."""

    def __init__(self, count: int, cluster_size: int, limit_c: float, interval_s: float = 10.0) -> None:
        self._count, self._size, self._limit_c, self._interval_s = count, cluster_size, limit_c, interval_s
        self._known_c = [0.0] * count
        self._plugged = [False] * count
        self._first, self._since_s = 0, 0.0
        self.spinning = False
        """The values of all clusters are hot: the turn passes at every look."""
        self.switches = 0
        self._looked_s = 0.0

    def plug(self, number: int, now_s: float) -> None:
        self._plugged[number] = True

    def measured(self, number: int, value_c: float, level: int, now_s: float) -> None:
        if self.spinning or number in self._window():
            self._known_c[number] = value_c

    def regulate(self, now_s: float) -> None:
        looks, self._looked_s = (now_s - self._looked_s) * LOOKS_PER_S, now_s
        if now_s - self._since_s >= self._interval_s:
            self._pass(now_s)
        for _ in range(self._count):
            if not self._hot():
                self.spinning = False
                return
            self._pass(now_s)
        self.spinning = True
        self.switches += int(looks)

    @property
    def due_s(self) -> float:
        return self._since_s + self._interval_s

    def work(self, count: int) -> list[float]:
        active = range(self._count) if self.spinning else self._window()
        return [1.0 if number in active and self._plugged[number] else 0.0 for number in range(count)]

    def worked(self, number: int, for_s: float) -> None:
        """It does not look at this."""

    def _pass(self, now_s: float) -> None:
        self._first = (self._first + self._size) % self._count
        self._since_s = now_s
        self.switches += 1

    def _window(self) -> list[int]:
        return [(self._first + place) % self._count for place in range(self._size)]

    def _hot(self) -> bool:
        return max(self._known_c[number] for number in self._window()) >= self._limit_c
