"""When frames of a file are due: n / fps after the first, by one clock, so that no drift adds up. Pure.

A reader up to LATE_S late catches up; one later than that continues from now instead of reading in a burst.
"""

from __future__ import annotations

from typing import Optional

LATE_S = 0.5


class Pace:
    """The due times of a stream of `fps` frames per second."""

    def __init__(self, fps: float) -> None:
        self._period_s = 1.0 / fps
        self._start_s: Optional[float] = None
        self._frames = 0

    def wait_s(self, now_s: float) -> float:
        """How long to wait until the next frame is due, seconds >= 0. Each call counts one frame."""
        due_s = None if self._start_s is None else self._start_s + self._frames * self._period_s
        if due_s is None or now_s > due_s + LATE_S:
            self._start_s, self._frames, due_s = now_s, 0, now_s
        self._frames += 1
        return max(0.0, due_s - now_s)
