"""The frames of one camera that cannot be read: their number, which are logged, and when one that crashes the process is given up.
Sinks have a record of each where every frame counts.
"""

from __future__ import annotations

import math

LOG_S = 10.0
"""At most one is logged in this time, seconds."""
CRASHES = frozenset({-4, -6, -7, -8, -11})
"""Exit codes of a process that a library has crashed: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV."""
MOST_CRASHES = 3
"""A frame that has crashed the process so often is given up, as is one that three sticks have failed with."""


class Unreadable:
    """Call `add` with each frame that cannot be read, and `crashed` when it has cost the process its life."""

    def __init__(self) -> None:
        self.count = 0
        self._logged_s = -math.inf
        self._frame = -1
        """The frame at which the process has crashed last."""
        self._crashes = 0

    def add(self, error: str, now_s: float) -> list[str]:
        """Count the frame; returns the line to log, if any."""
        self.count += 1
        if now_s < self._logged_s + LOG_S:
            return []
        self._logged_s = now_s
        return [f"frame cannot be read: {error}{f' ({self.count} so far)' if self.count > 1 else ''}"]

    def crashed(self, frame: int, how: str) -> str | None:
        """The process has crashed before it had captured this frame. Why the frame is given up, or None: it is tried again."""
        self._crashes = self._crashes + 1 if frame == self._frame else 1
        self._frame = frame
        if self._crashes < MOST_CRASHES:
            return None
        return f"the camera process has crashed {MOST_CRASHES} times at this frame ({how})"
