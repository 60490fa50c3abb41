"""Memory that is free against what the daemon's processes take. Figures of a process: docs/benchmarks.md, rounded up."""

from __future__ import annotations

import re
from typing import NamedTuple

from ncs_cluster.cli.doctor.case import Case
from ncs_cluster.cli.doctor.finding import Finding, passed, skip, warn
from ncs_cluster.cli.doctor.usb import seen

BASE_MB, STICK_MB, CAMERA_MB, CPU_MB = 120, 25, 60, 250
"""Supervisor, page and fork server together; a worker; a camera; a worker that infers on this CPU."""
LEAST_MB = 64
"""Free memory that a running daemon should leave."""
MOST = "ps -eo pmem,rss,pid,comm --sort=-rss | head -n 15"


class Facts(NamedTuple):
    available_mb: float | None
    need_mb: float
    workers: int
    cameras: int
    daemon_runs: bool


def probe(case: Case) -> Facts:
    said = dict(re.findall(r"^(\w+): +(\d+) kB", case.machine.text("/proc/meminfo") or "", re.M))
    available = float(said["MemAvailable"]) / 1000 if "MemAvailable" in said else None
    cpu = sum(stick.on_host for stick in case.settings.sticks)
    sticks = len(seen(case.machine, case.exclude).devices) if case.settings.discoveries else 0
    workers, cameras = sticks + len(case.settings.sticks), len(case.settings.cameras)
    need = BASE_MB + STICK_MB * (workers - cpu) + CPU_MB * cpu + CAMERA_MB * cameras
    return Facts(available, need, workers, cameras, case.status is not None)


def judge(facts: Facts) -> list[Finding]:
    if facts.available_mb is None:
        return [skip("the kernel does not tell its memory")]
    free = f"{facts.available_mb:.0f} MB are free"
    if facts.daemon_runs:
        return [passed(f"{free} beside the daemon") if facts.available_mb >= LEAST_MB else warn(f"{free} beside the daemon", MOST)]
    text = f"{free}; workers ({facts.workers}), cameras ({facts.cameras}) and the rest take about {facts.need_mb:.0f} MB"
    return [passed(text) if facts.available_mb >= facts.need_mb else warn(text, MOST)]
