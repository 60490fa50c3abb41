"""The last minutes of every stick's temperature, so that a page that is opened or reloaded shows its lines at once.

A point: seconds ago, °C or None, whether the stick was at work.
"""

from __future__ import annotations

from collections import deque

from ncs_cluster.status import StickStatus

KEPT_S = 300.0
EVERY_S = 0.5

Point = tuple[float, "float | None", bool]


class History:
    """Fed with status documents; times are given, in seconds of any one clock."""

    def __init__(self) -> None:
        self._points: dict[str, deque[Point]] = {}
        self._last_s = float("-inf")

    def add(self, sticks: list[StickStatus], now_s: float) -> None:
        """Remember every stick's temperature, at most once in EVERY_S. One that is gone fades with its last point."""
        if now_s - self._last_s < EVERY_S:
            return
        self._last_s = now_s
        for stick in sticks:
            line = self._points.setdefault(stick.id, deque())
            line.append((now_s, stick.temperature_c, stick.state == "active"))
        for name, line in list(self._points.items()):
            while line and line[0][0] < now_s - KEPT_S:
                line.popleft()
            if not line:
                del self._points[name]

    def lines(self, now_s: float) -> dict[str, list[Point]]:
        """By stick, oldest first."""
        return {
            name: [(round(now_s - at_s, 2), celsius, working) for at_s, celsius, working in line]
            for name, line in self._points.items()
        }
