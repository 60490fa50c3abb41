"""One line of the table, and the machine's load while it was measured."""

from __future__ import annotations

import os
import platform
import resource
import sys
import textwrap
import time
from typing import NamedTuple

import psutil


class Line(NamedTuple):
    """`original`: quoted figures of MultiStickSSDwithRealSense.py, never rerun. `good`: None where there is no target to hold."""

    what: str
    original: str
    target: str
    measured: str
    good: bool | None


class Load:
    """How busy others kept the machine from construction to `seen`."""

    def __init__(self) -> None:
        self._began_s, self._busy_s, self._ours_s = time.monotonic(), _busy_s(), _ours_s()

    def seen(self) -> str:
        """1-minute load average / CPU of other processes in percent of one core. Ours: this process and all it has waited for."""
        wall_s = time.monotonic() - self._began_s
        others_s = (_busy_s() - self._busy_s) - (_ours_s() - self._ours_s)
        return f"{os.getloadavg()[0]:.1f} / {max(0.0, others_s / wall_s):.0%}"


class Others:
    """CPU of all processes but `ours` from construction to `share`."""

    def __init__(self, ours: list[psutil.Process]) -> None:
        self._ours = ours
        self._began_s, self._busy_s, self._ours_s = time.monotonic(), _busy_s(), _processes_s(ours)

    def share(self) -> float:
        """As a share of one core."""
        wall_s = time.monotonic() - self._began_s
        return max(0.0, (_busy_s() - self._busy_s - _processes_s(self._ours) + self._ours_s) / wall_s)


def _processes_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _ours_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def head() -> str:
    """What the figures were taken on, and the columns."""
    model = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith(("model name", "Model"))), platform.machine()
    )
    columns = "| row | original | target | measured | | load / others |\n|---|---|---|---|---|---|"
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {model}; Python {sys.version.split()[0]}; {platform.system()}\n\n{columns}"
    )


def _cpuinfo() -> list[str]:
    try:
        with open("/proc/cpuinfo") as file:
            return file.read().splitlines()
    except OSError:
        return []


def row(line: Line, load: str) -> str:
    """As Markdown."""
    verdict = {True: "holds", False: "MISSED", None: ""}[line.good]
    return f"| {line.what} | {line.original} | {line.target} | {textwrap.shorten(line.measured, 200)} | {verdict} | {load} |"
