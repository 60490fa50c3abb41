"""CPU and memory of the machine and of each process (psutil), to show whether the machine is the bottleneck.

Each sample reads one process, so that no turn of the loop pays for all of them.
"""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

from ncs_cluster.status import MachineStatus

SAMPLE_S = 0.5
MACHINE_S = 1.0


class Usage:
    """The latest figures. `by_pid`: process id -> (CPU in percent of one core since the sample before, resident memory in MB)."""

    def __init__(self) -> None:
        self.by_pid: dict[int, tuple[float, float]] = {}
        self._processes: dict[int, psutil.Process] = {}
        self._queue: list[int] = []
        self.next_s = 0.0
        self.machine_percent = 0.0
        """CPU of all cores together over the last second, percent."""
        self._machine_s = 0.0
        with suppress(OSError):
            psutil.cpu_percent()

    def sample(self, pids: list[int], now_s: float) -> None:
        """Sample the next of these processes."""
        self.next_s = now_s + SAMPLE_S
        if now_s >= self._machine_s:
            # psutil measures from the last call: only this one calls it
            self._machine_s = now_s + MACHINE_S
            with suppress(OSError):
                self.machine_percent = psutil.cpu_percent()
        if not self._queue:
            self._queue = [os.getpid(), *pids]
            for gone in set(self._processes) - set(self._queue):
                self._processes.pop(gone, None)
                self.by_pid.pop(gone, None)
        pid = self._queue.pop()
        try:
            first = pid not in self._processes
            process = self._processes.setdefault(pid, psutil.Process(pid))
            with process.oneshot():
                cpu_percent, memory_mb = process.cpu_percent(), process.memory_info().rss / 1e6
        except (psutil.Error, OSError):
            # OSError: no descriptor is left, for one
            self._processes.pop(pid, None)
            self.by_pid.pop(pid, None)
            return
        if not first:
            self.by_pid[pid] = (round(cpu_percent, 1), round(memory_mb, 1))


def machine(cpu_percent: float) -> MachineStatus | None:
    """The machine's figures for the status; None where they cannot be read. `cpu_percent`: of all cores together."""
    try:
        memory, load = psutil.virtual_memory(), os.getloadavg()
    except OSError:
        return None
    return MachineStatus(
        load_1m=round(load[0], 2),
        cpu_percent=cpu_percent,
        cores=psutil.cpu_count() or 1,
        memory_used_mb=round((memory.total - memory.available) / 1e6),
        memory_total_mb=round(memory.total / 1e6),
        temperature_c=_temperature_c(),
    )


def _temperature_c() -> float | None:
    """The processor's temperature: `cpu_thermal` on a Raspberry Pi, `coretemp` or `k10temp` on a PC."""
    try:
        sensors = psutil.sensors_temperatures()
    except (AttributeError, OSError):
        return None
    for name in ("cpu_thermal", "coretemp", "k10temp", "soc_thermal"):
        if sensors.get(name):
            return round(float(sensors[name][0].current), 1)
    return None
