"""The messages between processes: one closed union per channel and direction. msgpack by msgspec; never pickle.

A message is positional (`array_like`) with its class name as tag, so both ends must run the same version: Hello carries PROTOCOL.
Times named `_s` are time.monotonic() of this machine, comparable between its processes. Values that harm another process
when they are out of range have bounds here: such a message does not decode, and the supervisor kills its sender. Runs on CPython
3.9.

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
"""Width or height of a frame, pixels."""
Seconds = Annotated[float, Meta(ge=0.0, le=1e6)]
"""NaN does not decode."""
Item = Annotated[str, Meta(max_length=4096)]
"""A file's name below its folder: PATH_MAX of Linux."""


class Message(Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages."""


# -- every child ------------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True):
    """The first message of a child."""

    protocol: int
    pid: int
    python: str


class Heartbeat(Message, frozen=True):
    """The child's event loop runs. Sent every second."""


class Phase(Message, frozen=True):
    """A long blocking step begins: "opening", "compiling". Each has its own deadline; no heartbeat is expected meanwhile."""

    name: str


NO_READER = "no-reader"
"""Reason of a sink's Failed: its only reader is gone, as in `ncs-clusterd --results - | head`."""


class Failed(Message, frozen=True):
    """The child's last message before it exits. `reason`: as errors.StickError.reason. `permanent`: the restart waits 60 s."""

    reason: str
    detail: str
    permanent: bool = False


class Stop(Message, frozen=True):
    """Finish the requests in flight, close, exit with code 0."""


# -- worker -----------------------------------------------------------------------------------------------------------


class OpenStick(Message, frozen=True):
    """The first message to a worker. Infer.graph is an index into `graphs`."""

    stick: StickSpec
    graphs: List[GraphSpec]
    time_scale: float = 1.0


class MapPool(Message, frozen=True):
    """A frame pool; its descriptor comes with this message. Workers map it read-only, the camera writable."""

    layout: PoolLayout


class UnmapPool(Message, frozen=True):
    """The pool is dropped; unmap it."""

    pool: int


class Infer(Message, frozen=True):
    """One unit of work. `ticket` comes back with the result and is never used twice."""

    ticket: int
    graph: int
    frame: FrameRef
    reset_epoch: int = 0
    """How many StickLost of this worker the supervisor had received when it sent this; after a later loss the unit is on other
    sticks, and the worker ignores this message."""


class ChangeGraphs(Message, frozen=True):
    """New thresholds, labels and decoder options, for the same graphs in the same order; their models stay loaded."""

    graphs: List[GraphSpec]


class InjectFault(Message, frozen=True):
    """Misbehave (simulated sticks only): "heat", "hang", "crash", "segfault", "slow"."""

    kind: str
    for_s: float = 10.0


class ResetStick(Message, frozen=True):
    """The stick hangs: reset it in place. Sent only where StickOpened.can_reset."""

    detail: str


class Reopen(Message, frozen=True):
    """After StickLost: it is the stick's turn to boot; open it again."""


class StickOpened(Message, frozen=True):
    """The stick is open, after OpenStick or Reopen: one inference per graph has run where the backend can."""

    device: str
    has_sensor: bool
    max_in_flight: Depth
    """Requests that may be in flight at once: the stick's credits."""
    firmware: Optional[str] = None
    """The version of the firmware on the stick, where known."""
    can_reset: bool = False
    """Its worker can reset the stick in place: StickLost, then, after Reopen, StickOpened again."""
    executors: Depth = 1
    """Requests the stick executes at once; the others in flight wait inside it."""


class StickLost(Message, frozen=True):
    """The stick hangs, or its link is down. The worker goes on and opens it again after Reopen; requests in flight get no
    answer."""

    detail: str


class Telemetry(Message, frozen=True):
    """Sent every (1 s / time_scale), at work or not. None: no temperature could be read; the throttle level is unknown."""

    temperature_c: Optional[float]
    throttle_level: Optional[int] = None
    age_s: Seconds = 0.0
    """Age of the reading when sent, real seconds; the core ages it further."""


class Inferred(Message, frozen=True):
    """The answer to Infer. `latency_s`: from the start of the request on the stick to its answer, without the worker's queue."""

    ticket: int
    outcome: Outcome
    latency_s: Seconds


ToWorker = Union[OpenStick, ChangeGraphs, MapPool, UnmapPool, Infer, ResetStick, Reopen, InjectFault, Stop]
FromWorker = Union[Hello, Heartbeat, Phase, StickOpened, StickLost, Telemetry, Inferred, Failed]


# -- camera -----------------------------------------------------------------------------------------------------------


class OpenSource(Message, frozen=True):
    """The first message to a camera. Frames are numbered from `first_frame`; a restarted camera continues the numbers."""

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
    """Add distances from the depth plane of the same frame to the detections, and draw them as the picture mode says."""

    ticket: int
    frame: FrameRef
    graph: str
    outcome: Outcome


class DetectionRate(Message, frozen=True):
    """For the overlay: results per second of this camera. `watched`: it has viewers; else the page gets no pictures."""

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
    """A granted slot was written. With `error` the slot has no pixels, and the item is recorded as given up."""

    frame: FrameRef
    captured_s: float
    captured_at: float
    item: Optional[Item] = None
    error: Optional[str] = None


class Skipped(Message, frozen=True):
    """A frame arrived while no slot was granted: it has a number and counts as dropped."""

    frame: FrameNumber


class Measured(Message, frozen=True):
    """The answer to Measure."""

    ticket: int
    detections: List[Detection]


class SourceLost(Message, frozen=True):
    """The source was lost; the camera opens it again itself. The picture shows "no signal"."""

    detail: str


class SourceEnded(Message, frozen=True):
    """A finite source has ended. `frames`: how many frame numbers were used."""

    frames: int


class Drawn(Message, frozen=True):
    """A picture was put into the ring."""

    frame: int
    captured_s: float
    drawn_s: float


class CameraRates(Message, frozen=True):
    """Sent every second: frames captured and pictures drawn per second."""

    capture_fps: float
    preview_fps: float


class QuitRequested(Message, frozen=True):
    """The key q was pressed in the window."""


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

    `first`: number of the first record that was not acknowledged. A restarted sink finds which records from `first` on are
    written (SinkOpened.next), and removes a partly written one.
    """

    sink: SinkSpec
    first: int = 0
    token: Optional[bytes] = None


class Write(Message, frozen=True):
    """One record. Records are numbered from 0 without gaps."""

    number: int
    record: Record


class SinkOpened(Message, frozen=True):
    """The sink is open. `next`: number of the first record to send; earlier records are written. `token`: as in Acked."""

    next: int
    token: bytes = b""


class Acked(Message, frozen=True):
    """All records up to and including `number` were passed to the operating system, or to a server.

    `token` is opaque to the supervisor: a restarted sink gets it back and resumes there.
    """

    number: int
    token: bytes = b""


class SinkBlocked(Message, frozen=True):
    """Writing fails (disk full); the sink retries. `detail` None: writing works again."""

    detail: Optional[str]


ToSink = Union[OpenSink, Write, Stop]
FromSink = Union[Hello, Heartbeat, SinkOpened, Acked, SinkBlocked, Failed]


# -- gateway ----------------------------------------------------------------------------------------------------------


class OpenGateway(Message, frozen=True):
    """The first message to the gateway. It requests status and events over the control socket, as any client."""

    gateway: GatewaySpec
    runtime_dir: str
    simulated: bool


class PictureReady(Message, frozen=True):
    """A new picture is in the camera's ring."""

    camera: CameraName
    frame: int


class CameraGone(Message, frozen=True):
    """The camera is no longer configured."""

    camera: CameraName


class GatewayOpened(Message, frozen=True):
    """The page is served at this address."""

    host: str
    port: int


class Watch(Message, frozen=True):
    """The number of viewers of a camera has changed."""

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
    """The process exists, as a child of the supervisor. It runs once this message is sent."""

    ticket: int
    pid: int


class ForkFailed(Message, frozen=True):
    """fork failed (EAGAIN, ENOMEM), or the new process exited at once."""

    ticket: int
    detail: str


ToForkServer = Union[Fork, Stop]
FromForkServer = Union[Hello, Forked, ForkFailed]
