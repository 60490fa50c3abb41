"""The status document and the events, as all clients of the daemon get them. A contract: docs/status.md.

Fields may be added, never renamed. An unknown value is None, never 0.
"""

from __future__ import annotations

from msgspec import Struct

from ncs_cluster.types import IntakeClient


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
    """Every stick is too hot, or reports no temperature, and no neighbour answers: no frame is processed."""
    ring: list[list[str]]
    """Stick ids of each cluster, in the order of their turns."""


class LatencyStatus(Struct, frozen=True):
    """Milliseconds; None without a sample."""

    p50: float | None
    p99: float | None


class StickStatus(Struct, frozen=True):
    id: str
    port: str
    backend: str
    device: str | None
    state: str
    """starting|active|standby|draining|resting|parked|backoff|quarantined|absent"""
    temperature_c: float | None
    temperature_age_s: float | None
    throttle_level: int | None
    headroom_s: float | None
    """Time until the switch temperature at the work of the last half minute; None: unknown, never, not within 15 minutes, or
    it rests. Of a stick known for less than half a minute, at the present rate of rise."""
    fps: float
    latency_ms: LatencyStatus
    in_flight: int
    inferences: int
    restarts: int
    last_error: str | None
    pid: int | None
    throttled_s: float
    firmware: str | None = None
    """Version, as the stick reports it."""
    resets: int = 0
    """Resets of the hung stick without a restart of its process."""
    pool: str = "default"
    recovered_s: float | None = None
    """Seconds for which the stick has worked since `last_error`; None: the error is present, or there was no error."""
    name: str | None = None
    """The operator's name of its port."""
    max_in_flight: int | None = None
    """Requests that it may have in flight; fewer than its backend allows after failures with several."""
    executors: int | None = None
    """Requests it executes at once; `latency_ms` is the time of each."""
    headroom_c: float | None = None
    """How far its die is under the switch temperature, by the filter; below 0: over it."""
    sustainable_fps: float | None = None
    """Inferences a second that it could keep up for ever under the switch temperature in the present air; None: not known yet."""
    remarks: list[str] = []
    """What is unusual about its heat, for people: "cools 30 % worse than its peers"."""
    slowdown: float | None = None
    """Present inference time as a multiple of the usual one, by its own clock; None: not known."""
    duty: float | None = None
    """Share of the time it may work, 0..1; None: not open."""
    limit_c: float | None = None
    """It gets no frame from this temperature on: less than the switch temperature after it throttled earlier. None: no sensor."""
    runtime: str = "default"
    """The interpreter that its worker runs under, a name of [runtimes]."""
    usb_mbps: float | None = None
    """Speed of its USB link, Mbit/s, as the kernel tells it of a booted stick; None: not known."""
    boots: int = 0
    """How often it was opened: at the start, after a reset, after a restart of its process."""
    failed: int = 0
    """Inferences that it answered with an error."""
    parked: str | None = None
    """Why an operator has taken it out of rotation; None: it is in."""


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
    """Capture to drawn picture; None without a viewer."""
    distance_error: float | None
    """Synthetic scenes: median of |measured - true| / true over the last detections."""
    ordered: bool = False
    """Every frame is processed, in order: it is read ahead of the sticks, and `latency_ms` is mostly that."""
    share_fps: float | None = None
    """Frames per second that its weight gives it at most of what the sticks sustain; None: not known."""


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


class SinkStatus(Struct, frozen=True):
    path: str
    state: str
    written: int
    waiting: int
    lost: int
    detail: str | None
    name: str = ""
    """By its place among --results: empty for the first, then "2", "3", ..."""


class ShadowStatus(Struct, frozen=True):
    """What the policy `predictive` would do with a pool, from the same readings. Inferences a second, None until it is known."""

    settled: bool
    """The figures are known."""
    sustainable_fps: float | None
    """What it would sustain with the present cluster size."""
    unlimited_fps: float | None
    """What it would sustain without a cluster size."""
    allowed_fps: float | None
    """What the active policy has let the sticks do, on average over five minutes."""
    said: list[str]
    """For people, where the difference is worth a sentence."""


class PoolStatus(Struct, frozen=True):
    """Sticks of one kind, with a policy and a cluster size of their own. `clusters` sums up all pools."""

    name: str
    policy: str
    cluster_size: int
    switch_temp_c: float
    switch_interval_s: float
    active: list[str]
    next_switch_s: float | None
    switches: int
    shedding: bool
    shadow: ShadowStatus | None = None
    """None: no stick of the pool has a temperature."""
    fallback: bool = False
    """It works only while no stick of the other pools can."""
    cooler_k: float | None = None
    """By how much the hottest stick is cooler in the long run than with the present work spread evenly; None: not known."""
    overflow: bool = False
    """It stands for other hosts."""


class OriginalStatus(Struct, frozen=True):
    """A simulation: the original script's policy on sticks like the daemon's, in the same air, with as many frames."""

    temperatures_c: list[float]
    """True ones, in the order of `sticks`."""
    fps: float
    throttled_s: float
    """Time its sticks have spent throttled by their firmware, all together."""
    switches: int
    latched: bool
    """All values it knows are hot: its turn passes at every look, and all its sticks work."""


class JobStatus(Struct, frozen=True):
    """A job that runs on the daemon's sticks: see docs/jobs.md."""

    id: str
    state: str
    """running|paused|done|failed|cancelled"""
    sources: list[str]
    """What it works on; only the first few."""
    graph: str
    out: str
    """Its folder."""
    formats: list[str]
    done: int
    expected: int
    """As far as it is known: 0 before the source is open."""
    failed: int
    fps: float
    weight: float
    started_at: float
    """Unix time."""
    detail: str | None
    """Why it failed, or why it does not go on at present."""
    chunk_of: str | None = None
    """It is a chunk of this job over hosts, an `id` of `fleet.jobs`; None: it is a job by itself."""


class FleetJobStatus(Struct, frozen=True):
    """What this host does of a job over hosts, since its daemon began."""

    id: str
    """As the NATS server has it."""
    name: str
    """For people: "photos/2024"."""
    state: str
    """running|ended"""
    chunks: int
    """Chunks that this host has done."""
    running: int
    """Chunks that it has begun and not ended."""
    failed_chunks: int
    """Chunks that it could not do; another host was asked."""
    done: int
    """Frames."""
    failed: int
    """Frames without a result."""
    fps: float
    began_at: float
    """Unix time, on this host."""
    ended_at: float | None


class FleetStatus(Struct, frozen=True):
    """This daemon among those at a NATS server."""

    node: str
    server: str
    drain: str | None
    """ "no"; "draining": an operator has taken the host out of the work of the fleet, and it has such work in hand still;
    "drained": it has none; None: not known."""
    chunks: int
    """Chunks of jobs over hosts in hand."""
    frames: int
    """Frames of other hosts in hand."""
    jobs: list[FleetJobStatus] = []
    """The oldest first; those that have ended too, the newest 20."""


class IntakeStatus(Struct, frozen=True):
    """A way for other programs to send pictures."""

    name: str
    """ "api": by the page's HTTP; or the protocol, "frigate"."""
    address: str | None
    state: str
    """open, or the state of its process."""
    detail: str | None
    open: int
    """Pictures that wait for their answer."""
    fps: float
    """Answers a second."""
    answered: int
    failed: int
    withdrawn: int
    """Pictures that nobody waited for any more."""
    latency_ms: LatencyStatus
    """From the picture in its slot to the answer."""
    clients: list[IntakeClient] = []
    colours: str | None = None
    """Of a protocol that does not tell it: the channel order of the pictures, RGB or BGR."""
    deadline_ms: int | None = None
    """Of a protocol whose clients wait no longer: when each picture has an answer, if only that nothing was found."""
    own_labels: bool = False
    """Ids of classes are those of a file that the client must have too."""


class LoadStatus(Struct, frozen=True):
    """What is asked of the sticks and what they can sustain, inferences per second; None before it is known."""

    asked_fps: float | None
    """By the live cameras: every frame, through every graph."""
    capacity_fps: float | None
    """Of all sticks, at the duties that heat and the cluster sizes allow."""
    overloaded: bool
    """The live cameras get less than they ask for."""
    limited_by: str | None
    """ "cluster size", "heat" or "speed"; None without a stick."""
    retry_after_s: int | None
    """In how many seconds a client should ask again; None: now."""
    said: str | None = None
    """For people, while overloaded."""


class FallbackStatus(Struct, frozen=True):
    """A pool that works only while no stick of the other pools can."""

    pool: str
    ready: bool
    """It can take over at once."""
    serving: bool
    """It works, in place of the others."""
    reason: str | None
    """Why it is needed, and whether it serves, for people; None: a stick of another pool can work."""
    fps: float
    takeovers: int
    """How often it has taken over."""
    served_s: float
    """For how long, all times together."""


class OverflowStatus(Struct, frozen=True):
    """A pool that stands for other hosts, which get frames of live cameras that the sticks of this host cannot take."""

    pool: str
    server: str
    ready: bool
    """The server is reached."""
    serving: bool
    """The sticks do not keep up, and neighbours get what they cannot take."""
    fps: float
    """Answers per second."""
    latency_ms: LatencyStatus
    """From sending a frame to its answer."""
    sent: int
    answered: int
    late: int
    refused: int
    held_back: int
    bytes: int
    bytes_per_s: float
    most_bytes_per_s: float
    """The share of the link."""


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
    """The first of `sinks` that gets records."""
    graphs: list[str]
    pools: list[PoolStatus] = []
    sinks: list[SinkStatus] = []
    jobs: list[JobStatus] = []
    """The oldest first; those that have ended too, the newest 20. Chunks of jobs over hosts are among them while they run, and a
    few that have ended: `fleet.jobs` sums them up."""
    load: LoadStatus | None = None
    original: OriginalStatus | None = None
    """Only with simulated sticks that take turns, and with the page."""
    intakes: list[IntakeStatus] = []
    """Those that are configured."""
    inputs: dict[str, tuple[int, int]] = {}
    """Width and height of each graph's input, pixels, once a stick has opened it."""
    fallback: FallbackStatus | None = None
    """None: there is none."""
    overflow: OverflowStatus | None = None
    """None: no frame is sent to other hosts."""
    fleet: FleetStatus | None = None
    """None: no NATS server is named."""


class Event(Struct, frozen=True):
    """One line of the log of events."""

    id: int
    """Rises by one with each event, from 1."""
    at: float
    """Unix time."""
    level: str
    """info|warning|error"""
    who: str
    """ "daemon", "clusters", "usb", "page", the name of a stick or camera, or a process: "worker sim-1"."""
    text: str
    """For people; it may change."""
    name: str | None = None
    """The operator's name of the port of the stick that the event concerns."""
