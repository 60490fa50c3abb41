"""The status document and the events, as all clients of the daemon get them. A contract: docs/status.md.

Fields may be added, never renamed. An unknown value is None, never 0.
"""

from __future__ import annotations

from msgspec import Struct

from ncs_cluster.status.fleet import FleetJobStatus, FleetStatus
from ncs_cluster.status.machine import CountersStatus, DaemonStatus, MachineStatus, ProcessStatus
from ncs_cluster.status.sticks import (
    ClusterStatus,
    FallbackStatus,
    LastSwitch,
    LatencyStatus,
    OriginalStatus,
    OverflowStatus,
    PoolStatus,
    ShadowStatus,
    StickStatus,
)
from ncs_cluster.status.work import CameraStatus, IntakeStatus, JobStatus, LoadStatus, SinkStatus

__all__ = [
    "CameraStatus",
    "ClusterStatus",
    "CountersStatus",
    "DaemonStatus",
    "Event",
    "FallbackStatus",
    "FleetJobStatus",
    "FleetStatus",
    "IntakeStatus",
    "JobStatus",
    "LastSwitch",
    "LatencyStatus",
    "LoadStatus",
    "MachineStatus",
    "OriginalStatus",
    "OverflowStatus",
    "PoolStatus",
    "ProcessStatus",
    "ShadowStatus",
    "SinkStatus",
    "Status",
    "StickStatus",
]


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
