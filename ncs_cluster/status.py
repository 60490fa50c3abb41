"""One frozen picture of everything, read by the CLI, the page and the metrics alike. Unknown is None. A contract: see docs."""

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
    """A real inference in the last 5 s, or idle by choice."""
    alive: bool
    policy: str
    cluster_size: int
    switch_temp_c: float
    switch_interval_s: float
    time_scale: float
    simulated: bool


class LastSwitch(Struct, frozen=True):
    at: float
    """Unix time."""
    reason: str


class ClusterStatus(Struct, frozen=True):
    active: list[str]
    next_switch_s: float | None
    switches: int
    last_switch: LastSwitch | None
    shedding: bool
    """All sticks are too hot: no frame is worked on."""
    ring: list[list[str]]
    """Clusters in the order they take their turns, as it stands now; one list per cluster."""


class LatencyStatus(Struct, frozen=True):
    p50: float | None
    p99: float | None


class StickStatus(Struct, frozen=True):
    id: str
    port: str
    backend: str
    device: str | None
    state: str
    """starting|active|standby|draining|resting|backoff|quarantined|absent"""
    temperature_c: float | None
    temperature_age_s: float | None
    throttle_level: int | None
    headroom_s: float | None
    """Seconds until switch-temp at the present rate of rise; None: never or unknown."""
    fps: float
    latency_ms: LatencyStatus
    in_flight: int
    inferences: int
    restarts: int
    last_error: str | None
    pid: int | None
    throttled_s: float
    firmware: str | None = None
    """What runs on the stick, where it says so."""
    resets: int = 0
    """How often it was reset in place, its process living on."""


class CameraStatus(Struct, frozen=True):
    name: str
    source: str
    state: str
    """starting|running|no-signal|backoff|ended"""
    detail: str | None
    size: tuple[int, int] | None
    depth: bool
    capture_fps: float
    preview_fps: float
    detection_fps: float
    frames: int
    """Frames captured."""
    results: int
    """Units (frame, graph) that ended with a result."""
    dropped: int
    late: int
    given_up: int
    latency_ms: LatencyStatus
    """Capture to result."""
    picture_ms: LatencyStatus
    """Capture to drawn picture; None while nobody looks."""
    distance_error: float | None
    """Synthetic scenes: median of |measured - true| / true over the last detections."""


class CountersStatus(Struct, frozen=True):
    """What must stay zero."""

    frames_lost: int
    """Units that were captured and ended in no way at all."""
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


class ProcessStatus(Struct, frozen=True):
    name: str
    """ "supervisor", "worker sim-1", "camera cam0", "sink", "gateway"."""
    pid: int | None
    state: str
    cpu_percent: float | None
    """Of one core."""
    memory_mb: float | None
    restarts: int


class SinkStatus(Struct, frozen=True):
    path: str
    state: str
    written: int
    waiting: int
    lost: int
    detail: str | None


class Status(Struct, frozen=True):
    daemon: DaemonStatus
    clusters: ClusterStatus
    sticks: list[StickStatus]
    """In ring order."""
    cameras: list[CameraStatus]
    counters: CountersStatus
    machine: MachineStatus | None
    processes: list[ProcessStatus]
    sink: SinkStatus | None
    graphs: list[str]


class Event(Struct, frozen=True):
    """One line of what happened."""

    id: int
    """Rises by one with each event, from 1."""
    at: float
    """Unix time."""
    level: str
    """info|warning|error"""
    who: str
    """"daemon", "stick sim-1", "camera cam0", "sink", "gateway"."""
    text: str
    """For people; it may change."""
