"""How much of a link frames may take: a token bucket. Pure: time is an argument. Runs on CPython 3.9."""

from __future__ import annotations

BURST_S = 0.1
"""So much unused time may be caught up: frames of several cameras come together."""
SMOOTH = 0.1
"""Weight of the newest frame in the mean size."""


class LinkShare:
    """Bytes that may be sent. Over any time, no more than the rate, BURST_S of it and one frame."""

    def __init__(self, bytes_per_s: float, now_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        self._credit, self._counted_s = BURST_S * bytes_per_s, now_s
        self._mean = 0.0

    def take(self, size: int, now_s: float) -> bool:
        """Whether a frame of `size` bytes may be sent now; it counts then."""
        gained = (now_s - self._counted_s) * self.bytes_per_s
        self._credit, self._counted_s = min(BURST_S * self.bytes_per_s, self._credit + gained), now_s
        self._mean += (SMOOTH if self._mean else 1.0) * (size - self._mean)
        if self._credit <= 0.0:
            return False
        # a frame larger than the burst is paid for afterwards
        self._credit -= size
        return True

    @property
    def gap_s(self) -> float:
        """Mean time between two frames of the usual size at the full share."""
        return self._mean / self.bytes_per_s
