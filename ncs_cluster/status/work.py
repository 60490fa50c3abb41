"""Who has work for the sticks, and where the results go."""

from __future__ import annotations

from msgspec import Struct

from ncs_cluster.status.sticks import LatencyStatus
from ncs_cluster.types import IntakeClient


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


class SinkStatus(Struct, frozen=True):
    path: str
    state: str
    written: int
    waiting: int
    lost: int
    detail: str | None
    name: str = ""
    """By its place among --results: empty for the first, then "2", "3", ..."""


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
