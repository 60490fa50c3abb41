"""What the machine and each process use (psutil), so that "the Pi is the bottleneck" can be seen.

One process is looked at per turn, so that the loop never pays for all of them at once.
"""

from __future__ import annotations

import os

import psutil

from ncs_cluster.status import MachineStatus

TURN_S = 0.5
MACHINE_S = 1.0


class Usage:
    """The last figures: process id -> (CPU percent of one core since the last look, resident memory in MB)."""

    def __init__(self) -> None:
        self.by_pid: dict[int, tuple[float, float]] = {}
        self._processes: dict[int, psutil.Process] = {}
        self._turn: list[int] = []
        self.next_s = 0.0
        self.machine_percent = 0.0
        """Of all cores together, over the last second."""
        self._machine_s = 0.0
        psutil.cpu_percent()

    def look(self, pids: list[int], now_s: float) -> None:
        """The next one's turn."""
        self.next_s = now_s + TURN_S
        if now_s >= self._machine_s:
            # by one clock: it is "since the last call", whoever called
            self._machine_s, self.machine_percent = now_s + MACHINE_S, psutil.cpu_percent()
        if not self._turn:
            self._turn = [os.getpid(), *pids]
            for gone in set(self._processes) - set(self._turn):
                self._processes.pop(gone, None)
                self.by_pid.pop(gone, None)
        pid = self._turn.pop()
        try:
            first = pid not in self._processes
            process = self._processes.setdefault(pid, psutil.Process(pid))
            with process.oneshot():
                cpu_percent, memory_mb = process.cpu_percent(), process.memory_info().rss / 1e6
        except psutil.Error:
            self._processes.pop(pid, None)
            self.by_pid.pop(pid, None)
            return
        if not first:
            self.by_pid[pid] = (round(cpu_percent, 1), round(memory_mb, 1))


def machine(cpu_percent: float) -> MachineStatus:
    """The whole machine now."""
    memory = psutil.virtual_memory()
    return MachineStatus(
        load_1m=round(os.getloadavg()[0], 2),
        cpu_percent=cpu_percent,
        cores=psutil.cpu_count() or 1,
        memory_used_mb=round((memory.total - memory.available) / 1e6),
        memory_total_mb=round(memory.total / 1e6),
        temperature_c=_temperature_c(),
    )


def _temperature_c() -> float | None:
    """The processor's own temperature: `cpu_thermal` on a Raspberry Pi, `coretemp` or `k10temp` on a PC."""
    try:
        sensors = psutil.sensors_temperatures()
    except (AttributeError, OSError):
        return None
    for name in ("cpu_thermal", "coretemp", "k10temp", "soc_thermal"):
        if sensors.get(name):
            return round(float(sensors[name][0].current), 1)
    return None
