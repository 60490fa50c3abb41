"""What the daemon does for a fleet of hosts."""

from __future__ import annotations

from msgspec import Struct


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
