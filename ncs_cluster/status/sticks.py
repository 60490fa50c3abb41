"""Sticks, their pools and clusters, and what stands in for them."""

from __future__ import annotations

from msgspec import Struct


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
