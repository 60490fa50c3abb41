"""One graph of one stream: the units that wait for a stick, and how often a new frame comes."""

from __future__ import annotations

from collections import deque

from ncs_cluster.core.work import Unit

PERIOD_SHARE, LONGEST_PERIOD_S = 0.2, 5.0
"""Weight of the newest pause between two frames in a lane's period, and the longest pause that counts."""
KEPT_SHARE = 0.9
"""A frame is kept for a stick that is free after this part of the lane's period at the latest."""
KEEP_WEIGHT, KEEP_AGAIN, LEAST_KEEP = 0.2, 0.01, 0.75
"""How often sticks took frames that were kept for them: weight of the newest, what a frame that is not kept adds, and the part
below which none is kept, since the times of the sticks vary too much to be foreseen."""


class Lane:
    """One graph of one stream."""

    def __init__(self, stream: str, graph: int, weight: float, *, ordered: bool) -> None:
        self.stream = stream
        self.graph = graph
        self.cost = 1.0 / weight
        self.ordered = ordered
        self.held = False
        """A sink of its stream is full; the lane sends nothing until the sink has room."""
        self.virtual_s = 0.0
        self.missed = 0
        """Turns that it has missed since its last frame."""
        self.pending: deque[Unit] = deque()
        self._kept = False
        """Its newest frame is kept for a stick."""
        self._kept_well = 1.0
        """Part of the kept frames that a stick took before the next frame came."""
        self._captured_s: float | None = None
        self._period_s: float | None = None

    def note_capture(self, captured_s: float) -> None:
        """A frame was captured then."""
        pause_s = None if self._captured_s is None else captured_s - self._captured_s
        self._captured_s = captured_s
        if pause_s is not None and 0.0 < pause_s < LONGEST_PERIOD_S:
            self._period_s = pause_s if self._period_s is None else self._period_s + PERIOD_SHARE * (pause_s - self._period_s)

    def keep(self, *, kept: bool) -> None:
        """The newest frame is kept for a stick, or goes to a spare one."""
        self._kept = kept
        if not kept:
            self._kept_well = min(1.0, self._kept_well + KEEP_AGAIN)

    def note_kept(self, *, taken: bool) -> None:
        """A stick took the newest frame, or the next frame replaced it."""
        if self._kept:
            self._kept, self._kept_well = False, self._kept_well + KEEP_WEIGHT * (taken - self._kept_well)

    @property
    def kept_until_s(self) -> float:
        """Until when its newest frame may wait without being replaced; 0 where that is not known, or too many waited in vain."""
        if self._captured_s is None or self._period_s is None or self._kept_well < LEAST_KEEP:
            return 0.0
        return self._captured_s + KEPT_SHARE * self._period_s
