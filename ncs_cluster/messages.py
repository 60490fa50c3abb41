"""The messages between processes: one closed union per channel and direction. msgpack by msgspec; never pickle.

A message is positional (`array_like`) with its class name as tag, so both ends must run the same version: `Hello.protocol` says so.
Times called `_s` are time.monotonic() of this machine, comparable between its processes. Values that harm another process when they
are out of range have bounds here: such a message does not decode, and the supervisor kills its sender. Runs on CPython 3.9.

    supervisor <-> worker    ToWorker  / FromWorker
    supervisor <-> camera    ToCamera  / FromCamera
    supervisor <-> sink      ToSink    / FromSink
    supervisor <-> gateway   ToGateway / FromGateway
    supervisor <-> fork server  ToForkServer / FromForkServer
    client     <-> supervisor  Request / Reply           (the control socket: control_messages.py)
"""

from __future__ import annotations

from typing import Annotated, List, Optional, Union

from msgspec import Meta, Struct

from ncs_cluster.control_messages import AskEvents as AskEvents
from ncs_cluster.control_messages import AskFault as AskFault
from ncs_cluster.control_messages import AskStatus as AskStatus
from ncs_cluster.control_messages import AskSwitch as AskSwitch
from ncs_cluster.control_messages import AskUrl as AskUrl
from ncs_cluster.control_messages import Reply as Reply
from ncs_cluster.control_messages import Request as Request
from ncs_cluster.specs import CameraSpec, GatewaySpec, GraphSpec, SinkSpec, StickSpec
from ncs_cluster.types import CameraName, Detection, FrameNumber, FrameRef, Outcome, PoolLayout, Record

PROTOCOL = 3

Depth = Annotated[int, Meta(ge=1, le=64)]
Side = Annotated[int, Meta(ge=1, le=16384)]
"""Width or height of a picture, pixels."""
Seconds = Annotated[float, Meta(ge=0.0, le=1e6)]
"""NaN is none."""
Item = Annotated[str, Meta(max_length=4096)]
"""A file's name below its folder: PATH_MAX of Linux."""


class Message(Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages."""


# -- every child ------------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True):
    """First word of a child."""

    protocol: int
    pid: int
    python: str


class Heartbeat(Message, frozen=True):
    """The child's loop turned. Sent every second when there is nothing else to say."""


class Phase(Message, frozen=True):
    """A long blocking step begins: "opening", "compiling". Each has its own deadline; no heartbeat is expected meanwhile."""

    name: str


NO_READER = "no-reader"
"""Reason of a sink's Failed: its only reader is gone, as in `ncs-clusterd --results - | head`."""


class Failed(Message, frozen=True):
    """The child's last word before it exits. `reason` as in errors.StickError; a permanent failure is not retried quickly."""

    reason: str
    detail: str
    permanent: bool = False


class Stop(Message, frozen=True):
    """Finish what is under way, close, exit 0."""


# -- worker -----------------------------------------------------------------------------------------------------------


class OpenStick(Message, frozen=True):
    """First word to a worker. Infer names graphs by their index here."""

    stick: StickSpec
    graphs: List[GraphSpec]
    time_scale: float = 1.0


class MapPool(Message, frozen=True):
    """A frame pool; its descriptor comes with this message. Workers map it read-only, the camera writable."""

    layout: PoolLayout


class UnmapPool(Message, frozen=True):
    """The pool is gone; drop the mapping."""

    pool: int


class Infer(Message, frozen=True):
    """One unit of work. `ticket` comes back with the result and is never used twice."""

    ticket: int
    graph: int
    frame: FrameRef
    reset_epoch: int = 0
    """How many StickLost of this worker had been heard when it was sent: where there have been more, it has gone to others."""


class ChangeGraphs(Message, frozen=True):
    """New thresholds, labels and decoder options. The graphs are the same ones in the same order, and their models stay loaded."""

    graphs: List[GraphSpec]


class InjectFault(Message, frozen=True):
    """Misbehave (simulated sticks only): "heat", "hang", "crash", "segfault", "slow"."""

    kind: str
    for_s: float = 10.0


class ResetStick(Message, frozen=True):
    """The stick hangs: reset it in place. Only to those that can."""

    detail: str


class Reopen(Message, frozen=True):
    """After StickLost: it is this stick's turn to boot."""


class StickOpened(Message, frozen=True):
    """The stick is ready (again): one real inference per graph has run where the backend can."""

    device: str
    has_sensor: bool
    max_in_flight: Depth
    """Requests that may be in flight at once: the stick's credits."""
    firmware: Optional[str] = None
    """What runs on the stick, where it says so."""
    can_reset: bool = False
    """Its worker can reset the stick in place: StickLost, then, after Reopen, StickOpened again."""
    executors: Depth = 1
    """Requests the stick executes at once; the others in flight wait inside it."""


class StickLost(Message, frozen=True):
    """The stick hangs, or its link is down; the worker lives and opens it again, once told to Reopen. What it had in hand is not
    answered."""

    detail: str


class Telemetry(Message, frozen=True):
    """Every second divided by time_scale, at work or not. None: no temperature this time; a level that is not told."""

    temperature_c: Optional[float]
    throttle_level: Optional[int] = None
    age_s: Seconds = 0.0
    """How old the reading is already; the core ages it from there."""


class Inferred(Message, frozen=True):
    """A unit is done. `latency_s`: from hand-over to the stick until its answer, without waiting in the worker's queue."""

    ticket: int
    outcome: Outcome
    latency_s: Seconds


ToWorker = Union[OpenStick, ChangeGraphs, MapPool, UnmapPool, Infer, ResetStick, Reopen, InjectFault, Stop]
FromWorker = Union[Hello, Heartbeat, Phase, StickOpened, StickLost, Telemetry, Inferred, Failed]


# -- camera -----------------------------------------------------------------------------------------------------------


class OpenSource(Message, frozen=True):
    """First word to a camera. Frames are numbered from `first_frame` (a restarted camera goes on where it was)."""

    camera: CameraSpec
    first_frame: int = 0


class MapPictures(Message, frozen=True):
    """The ring of drawn pictures; its descriptor comes with this message."""

    camera: CameraName
    slots: int
    max_width: int
    max_height: int


class Grant(Message, frozen=True):
    """The slot may be written once."""

    pool: int
    slot: int


class Measure(Message, frozen=True):
    """Add distances to the detections from this frame's own depth, and draw them as the picture mode says."""

    ticket: int
    frame: FrameRef
    graph: str
    outcome: Outcome


class DetectionRate(Message, frozen=True):
    """For the overlay: detections per second of this camera. `watched`: somebody looks; else nothing is drawn."""

    detection_fps: float
    watched: bool


class SourceOpened(Message, frozen=True):
    """Answered by MapPool, MapPictures and grants. Sent again when a reopened source has another size."""

    width: Side
    height: Side
    fps: Optional[float]
    depth_scale_m: Optional[float]
    finite: bool
    ordered: bool
    description: str


class FrameCaptured(Message, frozen=True):
    """A granted slot was written. With `error` the slot holds nothing: the item is recorded as given up."""

    frame: FrameRef
    captured_s: float
    captured_at: float
    item: Optional[Item] = None
    error: Optional[str] = None


class Skipped(Message, frozen=True):
    """A frame arrived and no slot was free: it has a number, and is counted as dropped."""

    frame: FrameNumber


class Measured(Message, frozen=True):
    """Answer to Measure."""

    ticket: int
    detections: List[Detection]


class SourceLost(Message, frozen=True):
    """The source is away; the camera tries again by itself. The picture says "no signal"."""

    detail: str


class SourceEnded(Message, frozen=True):
    """A finite source has given its last frame. `frames`: how many numbers were used."""

    frames: int


class Drawn(Message, frozen=True):
    """A picture was put into the ring."""

    frame: int
    captured_s: float
    drawn_s: float


class CameraRates(Message, frozen=True):
    """Every second: frames captured and pictures drawn per second."""

    capture_fps: float
    preview_fps: float


class QuitRequested(Message, frozen=True):
    """Somebody pressed q in the window."""


ToCamera = Union[OpenSource, MapPool, UnmapPool, MapPictures, Grant, Measure, DetectionRate, Stop]
FromCamera = Union[
    Hello,
    Heartbeat,
    Phase,
    SourceOpened,
    FrameCaptured,
    Skipped,
    Measured,
    SourceLost,
    SourceEnded,
    Drawn,
    CameraRates,
    QuitRequested,
    Failed,
]


# -- sink -------------------------------------------------------------------------------------------------------------


class OpenSink(Message, frozen=True):
    """First message to a sink. `token`: the newest resume token of the sink process before it, None at the daemon's start.

    `first`: number of the first record that was not acknowledged. A sink that starts again finds out which records from `first` on
    are written all the same (SinkOpened.next), and undoes what is half written.
    """

    sink: SinkSpec
    first: int = 0
    token: Optional[bytes] = None


class Write(Message, frozen=True):
    """One record. Records are numbered from 0 without gaps."""

    number: int
    record: Record


class SinkOpened(Message, frozen=True):
    """The sink is ready. `next`: the record it wants first; those before it are written. `token`: as in Acked."""

    next: int
    token: bytes = b""


class Acked(Message, frozen=True):
    """All records up to and with `number` are with the operating system, or with the server where there is one.

    `token` is opaque to everyone else: a sink process that starts again gets it back and resumes there.
    """

    number: int
    token: bytes = b""


class SinkBlocked(Message, frozen=True):
    """Writing fails (disk full); the sink keeps trying. None: it works again."""

    detail: Optional[str]


ToSink = Union[OpenSink, Write, Stop]
FromSink = Union[Hello, Heartbeat, SinkOpened, Acked, SinkBlocked, Failed]


# -- gateway ----------------------------------------------------------------------------------------------------------


class OpenGateway(Message, frozen=True):
    """First word to the gateway. Status and events it asks for over the control socket, as any client."""

    gateway: GatewaySpec
    runtime_dir: str
    simulated: bool


class PictureReady(Message, frozen=True):
    """A new picture lies in the camera's ring."""

    camera: CameraName
    frame: int


class CameraGone(Message, frozen=True):
    """The camera is no longer configured."""

    camera: CameraName


class GatewayOpened(Message, frozen=True):
    """The page answers at this address."""

    host: str
    port: int


class Watch(Message, frozen=True):
    """How many people look at this camera now."""

    camera: CameraName
    viewers: int


ToGateway = Union[OpenGateway, MapPictures, PictureReady, CameraGone, Stop]
FromGateway = Union[Hello, Heartbeat, GatewayOpened, Watch, Failed]


# -- fork server ------------------------------------------------------------------------------------------------------


class Fork(Message, frozen=True):
    """Fork a child; its end of its channel comes with this message. `ticket` comes back with the answer."""

    ticket: int
    kind: str
    """Module below ncs_cluster.processes: "worker" or "camera"."""
    name: str
    """For the child's log lines: "worker sim-1"."""


class Forked(Message, frozen=True):
    """The process exists, as a child of the supervisor. It goes on once this has been sent."""

    ticket: int
    pid: int


class ForkFailed(Message, frozen=True):
    """The kernel refused (EAGAIN, ENOMEM), or the new process died at once."""

    ticket: int
    detail: str


ToForkServer = Union[Fork, Stop]
FromForkServer = Union[Hello, Forked, ForkFailed]
