"""Figures of repeated measurements. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ncs_cluster.cli.bench.report import Latency, Spread

FIRST = 1
"""The least number of pictures."""


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that is not below `percent` of all values (nearest rank). `values`: sorted, at least one."""
    return values[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def latency(values_ms: Sequence[float]) -> Latency:
    ordered = sorted(values_ms)
    return Latency(percentile(ordered, 50), percentile(ordered, 90), percentile(ordered, 99))


def break_even(start_s: float, each_s: float, other_start_s: float, other_each_s: float) -> int | None:
    """The break-even number of pictures: the smallest n >= 1 from which on start + n x each is less than the other mode's; None
    where the mode never gets ahead."""
    if each_s >= other_each_s:
        # ahead for some pictures at most, not from some number on; equally fast ones differ by their starts alone
        return FIRST if each_s == other_each_s and start_s < other_start_s else None
    return max(FIRST, math.floor((start_s - other_start_s) / (other_each_s - each_s)) + 1)


def rate_between(ends_s: Sequence[float], from_s: float, to_s: float) -> float:
    """Results per second that ended in [from_s, to_s)."""
    return sum(from_s <= end < to_s for end in ends_s) / (to_s - from_s) if to_s > from_s else 0.0
