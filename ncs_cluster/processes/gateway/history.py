"""The last five minutes of every stick's temperature, so that a page shows its charts as soon as it is opened or reloaded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Union

from ncs_cluster.status import Status, StickStatus

KEPT_S = 300.0
EVERY_S = 0.5

Point = tuple[float, "float | None", bool]
"""Age in seconds, temperature in °C (None: unknown), whether the stick was active."""


class Line(NamedTuple):
    """A line that is no stick's; its name has a space, which no stick's id has."""

    id: str
    temperature_c: float | None
    state: str


def twins(status: Status) -> list[Line]:
    """The hottest stick of the daemon's own and of the original script's twin, where there is one."""
    if status.original is None:
        return []
    ours = max((stick.temperature_c for stick in status.sticks if stick.temperature_c is not None), default=None)
    working = "active" if status.clusters.active else "standby"
    return [Line("twin ours", ours, working), Line("twin original", max(status.original.temperatures_c, default=None), "active")]


class History:
    """Temperatures by stick. `now_s`: seconds of any one monotonic clock."""

    def __init__(self) -> None:
        self._points: dict[str, deque[Point]] = {}
        self._last_s = float("-inf")

    def add(self, sticks: Sequence[Union[StickStatus, Line]], now_s: float) -> None:
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
