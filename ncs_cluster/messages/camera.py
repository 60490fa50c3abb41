"""supervisor <-> camera. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Annotated, List, Optional, Tuple, Union

from msgspec import Meta

from ncs_cluster.messages.child import Failed, Heartbeat, Hello, Message, Phase, Stop
from ncs_cluster.messages.memory import MapPictures, MapPool, UnmapPool
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import Detection, FrameNumber, FrameRef, Outcome

Side = Annotated[int, Meta(ge=1, le=16384)]
"""Width or height of a frame, pixels."""
FileSide = Annotated[int, Meta(ge=1, le=2**20)]
"""Width or height of a picture as its file has it, pixels: what OpenCV decodes."""
Item = Annotated[str, Meta(max_length=50_000)]
"""A file's name behind that of its folder, each of at most PATH_MAX (4096) bytes; a byte that is not UTF-8 is written in six."""


class OpenSource(Message, frozen=True):
    """The first message to a camera. Frames are numbered from `first_frame`; a restarted camera continues the numbers.

    `done`: frames that were captured of this source before. A source with an end goes on behind them, and so does one whose every
    frame counts: with `--loop` its passes stay whole.
    """

    camera: CameraSpec
    first_frame: int = 0
    done: int = 0


class Grant(Message, frozen=True):
    """The slot may be written once."""

    pool: int
    slot: int


class Measure(Message, frozen=True):
    """Add distances from the depth plane of the same frame to the detections, and draw them as the picture mode says. `last`: no
    other graph has this frame still to do."""

    ticket: int
    frame: FrameRef
    graph: str
    outcome: Outcome
    last: bool = True


class DetectionRate(Message, frozen=True):
    """For the overlay: results per second and graph of this camera. `watched`: it has viewers; else the page gets no pictures.
    `streamed`: one of them looks at every picture; else they ask for single ones."""

    detection_fps: float
    watched: bool
    streamed: bool = True


class SourceOpened(Message, frozen=True):
    """Answered by MapPool, MapPictures and grants. Sent again when a reopened source has another size."""

    width: Side
    height: Side
    fps: Optional[float]
    depth_scale_m: Optional[float]
    finite: bool
    ordered: bool
    description: str
    first: FrameNumber = 0
    """Number of its first frame: an earlier run has written the results of those before."""


class FrameCaptured(Message, frozen=True):
    """A granted slot was written. With `error` the slot has no pixels, and the item is recorded as given up."""

    frame: FrameRef
    captured_s: float
    captured_at: float
    item: Optional[Item] = None
    error: Optional[str] = None
    size: Optional[Tuple[FileSide, FileSide]] = None
    item_frame: Optional[FrameNumber] = None
    item_fps: Optional[float] = None


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


class SourceProgress(Message, frozen=True):
    """Sent every second by a source that counts: see sources.base.Counting."""

    expected: int
    failed: int


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
    SourceProgress,
    QuitRequested,
    Failed,
]
