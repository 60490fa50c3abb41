"""Running figures: events per second, latency percentiles, service time."""

from __future__ import annotations

import math
from collections import deque

from ncs_cluster.status import LatencyStatus


class Rate:
    """Events per second, smoothed exponentially over TAU_S = 2 s; it decays while no event is counted."""

    TAU_S = 2.0

    def __init__(self) -> None:
        self._value = 0.0
        self._at_s: float | None = None
        self._began_s = 0.0

    def count(self, now_s: float) -> None:
        if self._at_s is None:
            self._began_s = now_s
        else:
            # one event in `since_s` is a rate of 1 / since_s over that time
            since_s = max(now_s - self._at_s, 1e-6)
            kept = math.exp(-since_s / self.TAU_S)
            self._value = self._value * kept + (1.0 - kept) / since_s
        self._at_s = now_s

    def per_s(self, now_s: float) -> float:
        if self._at_s is None:
            return 0.0
        # correct the bias of the first seconds, while the average covers a part of its window only
        filled = 1.0 - math.exp((self._began_s - self._at_s) / self.TAU_S)
        if filled < 0.05:
            return 0.0
        return self._value / filled * math.exp(min(0.0, (self._at_s + 1.0 - now_s) / self.TAU_S))


class Latency:
    """Percentiles of the last `size` latencies."""

    def __init__(self, size: int = 300) -> None:
        self._last: deque[float] = deque(maxlen=size)

    def add(self, seconds: float) -> None:
        self._last.append(seconds)

    def status(self) -> LatencyStatus:
        """Median and 99th percentile in milliseconds, 1 decimal."""
        if not self._last:
            return LatencyStatus(None, None)
        ordered = sorted(self._last)

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)

        return LatencyStatus(at(0.5), at(0.99))


class Service:
    """How long a stick takes for one request: mean and mean deviation, as TCP estimates its round trip (RFC 6298)."""

    def __init__(self) -> None:
        self.mean_s: float | None = None
        self.deviation_s = 0.0
        self.change_s = 0.0
        """Mean difference between one time and the next: small again soon after all times have become longer."""
        self._newest_s = 0.0

    def add(self, seconds: float) -> None:
        before_s, self._newest_s = self._newest_s, seconds
        if self.mean_s is None:
            self.mean_s, self.deviation_s = seconds, seconds / 4
            return
        self.change_s += (abs(seconds - before_s) - self.change_s) / 4
        self.deviation_s += (abs(seconds - self.mean_s) - self.deviation_s) / 4
        self.mean_s += (seconds - self.mean_s) / 8
