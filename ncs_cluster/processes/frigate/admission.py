"""How many frames may be with the sticks at once, so that each is answered before its deadline. Pure: time is an argument.

Frigate sends the next frame as soon as one is answered. Where its entries are more than the sticks can answer in time, because a
stick is pulled, rests or has other work, each frame would wait for those before it, and all would be late: the sticks would work
for nothing. So no more frames are let to them than they answer in time, the newest of those that wait first, which has the most
time left; a frame that could only be late is not started.
"""

from __future__ import annotations

GROWTH = 0.8
"""Part of the deadline that an answer may take, as foreseen, with one frame more."""
AFTER_LATE, LONGEST_AFTER_LATE = 20, 640
"""Answers in time until one frame more is tried again: doubled each time that one was too many."""
TRY_S = 0.5
SMOOTH = 0.2
"""Weight of the newest answer in the mean."""


class Admission:
    """One server's frames."""

    def __init__(self) -> None:
        self.limit = 0
        """Frames that may be with the sticks at once; 0: not known, as many as there are sticks."""
        self.open = 0
        self.expected_s = 0.0
        """What an answer takes at present."""
        self._sticks = -1
        self._in_time = 0
        """Answers since the limit has changed."""
        self._wanted = 1
        self._started_s = self._cut_s = float("-inf")
        """When a frame was started last, and when the limit was cut last."""

    def may_start(self, sticks: int) -> bool:
        """Whether the sticks can have one frame more. `sticks`: that can work."""
        if sticks != self._sticks:
            self._sticks, self._wanted = sticks, 1
            self.limit = self.limit or max(1, sticks)
        return self.open < self.limit

    def worth(self, left_s: float, now_s: float) -> bool:
        """Whether a frame whose deadline is in `left_s` could be answered in time. What is expected may be long past: after
        TRY_S without a frame on the sticks one is tried."""
        return left_s >= self.expected_s or (not self.open and now_s - self._started_s >= TRY_S)

    def started(self, now_s: float) -> None:
        self.open += 1
        self._started_s = now_s

    def answered(self, took_s: float, deadline_s: float) -> None:
        """An answer came in time, `took_s` after its frame was started. `deadline_s`: how long a frame may take."""
        self.open -= 1
        self.expected_s += (SMOOTH if self.expected_s else 1.0) * (took_s - self.expected_s)
        self._in_time += 1
        foreseen_s = self.expected_s * (self.limit + 1) / self.limit
        fits = self.limit < self._sticks or foreseen_s <= GROWTH * deadline_s
        # an answer that was alone says nothing of the limit
        if fits and self._in_time >= max(self._wanted, self.limit) and self.open + 1 >= self.limit:
            self.limit, self._in_time = self.limit + 1, 0

    def late(self, deadline_s: float, now_s: float) -> None:
        """The deadline of a frame passed while it was with the sticks. Those that were started with it say the same."""
        self.open -= 1
        if now_s - self._cut_s > deadline_s:
            self.limit, self._cut_s = max(1, min(self.limit - 1, self.limit * 3 // 4)), now_s
            self._wanted = min(max(AFTER_LATE, 2 * self._wanted), LONGEST_AFTER_LATE)
        self._in_time = 0

    def failed(self) -> None:
        """A frame ended without an answer, for another reason than time."""
        self.open -= 1
