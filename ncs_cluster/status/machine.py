"""The daemon itself, its processes, and the machine that it runs on."""

from __future__ import annotations

from msgspec import Struct


class DaemonStatus(Struct, frozen=True):
    version: str
    pid: int
    uptime_s: float
    state: str
    """ "ok", "degraded" or "down"; `reasons` says why."""
    reasons: list[str]
    ready: bool
    """An inference succeeded in the last 5 s, or there is no work."""
    alive: bool
    policy: str
    cluster_size: int
    switch_temp_c: float
    switch_interval_s: float
    time_scale: float
    simulated: bool


class CountersStatus(Struct, frozen=True):
    """Counts of broken guarantees: each must stay 0."""

    frames_lost: int
    """Units (frame, graph) that never ended: no result, no drop, no error."""
    frames_doubled: int
    out_of_order: int
    throttled_s: float


class MachineStatus(Struct, frozen=True):
    load_1m: float
    cpu_percent: float
    """Of all cores together, 0..100."""
    cores: int
    memory_used_mb: float
    memory_total_mb: float
    temperature_c: float | None
    """Of its processor."""
    ambient_c: float | None = None
    """Of the air, by the sensor of [ambient]; None: there is none, or it cannot be read."""
    fan_duty: float | None = None
    """Speed that the fan of [fan] is set to, 0..1; None: there is none, or it cannot be set."""


class ProcessStatus(Struct, frozen=True):
    name: str
    """ "supervisor", "worker sim-1", "camera cam0", "sink", "gateway"."""
    pid: int | None
    state: str
    cpu_percent: float | None
    """Of one core."""
    memory_mb: float | None
    restarts: int
