"""How busy the machine is while something is measured."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import NamedTuple

import psutil


class Load(NamedTuple):
    """Of one run."""

    average: float
    """1-minute load average at its end."""
    others: float
    """CPU that other programs took meanwhile; 1: one core."""


def watch() -> Callable[[], Load]:
    """Begin now; the answer gives the load since. Ours: this process, and all processes it has waited for by then."""
    began_s, busy_s, ours_s = time.monotonic(), _busy_s(), _ours_s()

    def seen() -> Load:
        wall_s = time.monotonic() - began_s
        others_s = (_busy_s() - busy_s) - (_ours_s() - ours_s)
        return Load(os.getloadavg()[0], max(0.0, others_s / wall_s) if wall_s > 0 else 0.0)

    return seen


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _ours_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
