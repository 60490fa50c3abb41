"""The last five minutes of every stick's temperature, so that a page shows its charts as soon as it is opened or reloaded."""

from __future__ import annotations

from collections import deque

from ncs_cluster.status import StickStatus

KEPT_S = 300.0
EVERY_S = 0.5

Point = tuple[float, "float | None", bool]
"""Age in seconds, temperature in °C (None: unknown), whether the stick was active."""


class History:
    """Temperatures by stick. `now_s`: seconds of any one monotonic clock."""

    def __init__(self) -> None:
        self._points: dict[str, deque[Point]] = {}
        self._last_s = float("-inf")

    def add(self, sticks: list[StickStatus], now_s: float) -> None:
        """Add a point for each stick, at most once in EVERY_S. A stick that is gone is dropped with its last point after KEPT_S."""
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
        """Points by stick id, oldest first."""
        return {
            name: [(round(now_s - at_s, 2), celsius, working) for at_s, celsius, working in line]
            for name, line in self._points.items()
        }
