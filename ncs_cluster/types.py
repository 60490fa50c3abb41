"""Values that all layers use. Frozen, without behaviour, units in names or types.

Runs on CPython 3.9: annotations inside structs are written with Optional, Tuple and List.
"""

from __future__ import annotations

from typing import Annotated, List, NamedTuple, NewType, Optional, Tuple

from msgspec import Meta, Struct

StickId = NewType("StickId", str)
"""The place of a stick: "sim-1", or a prefix and its boot port, "ncs-1-1.2". An NCS2 has no serial number of its own."""
CameraName = NewType("CameraName", str)
GraphName = NewType("GraphName", str)
Celsius = NewType("Celsius", float)
Size = Tuple[int, int]
"""Width and height, pixels."""
Box = Tuple[float, float, float, float]
"""x1, y1, x2, y2, normalised to 0..1 of the frame."""
FrameNumber = Annotated[int, Meta(ge=0, lt=2**53)]
"""Below 2^53: exact in JSON and JavaScript, and the next number can be encoded."""


class Detection(Struct, frozen=True, array_like=True):
    """One found object. `distance_m` is None when unknown, never 0. `true_distance_m` exists on synthetic scenes only."""

    label: str
    label_id: int
    score: float
    box: Box
    distance_m: Optional[float] = None
    true_distance_m: Optional[float] = None


class Classified(Struct, frozen=True, array_like=True):
    """One class of a classification, best first."""

    label: str
    label_id: int
    score: float


class Outcome(Struct, frozen=True, array_like=True):
    """The output of a graph for one frame, decoded: detections, classes or features. The lists may be empty; `error` is set when
    the frame was given up."""

    detections: List[Detection] = []
    classes: List[Classified] = []
    error: Optional[str] = None
    features: Optional[bytes] = None
    """A vector, float32, little-endian."""


class Record(Struct, frozen=True, array_like=True):
    """The result of one unit of work, (frame, graph), which sinks write. A sink chooses its format."""

    stream: str
    frame: FrameNumber
    captured_at: float
    """Unix seconds."""
    item: Optional[str]
    """File name, for images and folders."""
    stick: Optional[str]
    """The stick that answered, or had the frame last."""
    graph: str
    latency_s: Optional[float]
    """From capture to the result's arrival in the supervisor; None for a frame that was given up."""
    outcome: Outcome
    size: Optional[Size] = None
    """Of the picture as its file has it, before it was scaled down into a slot; None where the source does not say."""
    item_frame: Optional[FrameNumber] = None
    """The frame's number in its item, for films that are items of a job."""
    item_fps: Optional[float] = None
    """Frames per second of such a film, as its header declares; None: unknown."""


class ResizeTransform(NamedTuple):
    """The mapping of a frame into a graph's input, inverted for boxes: input = frame * scale + offset, all normalised 0..1."""

    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_x: float = 0.0
    offset_y: float = 0.0
    width: int = 0
    """Of the graph's input, pixels; 0 where it is not known."""
    height: int = 0


class FrameRef(Struct, frozen=True, array_like=True):
    """A reference to a frame in a pool slot, about 100 bytes instead of its pixels.

    The colour plane is uint8 BGR [height, width, 3] at the slot's start; the depth plane, where the pool has one, is uint16
    [height, width] in units of the pool's `depth_scale_m`.
    """

    camera: CameraName
    pool: int
    slot: int
    frame: FrameNumber
    width: int
    height: int


class Tensor(Struct, frozen=True, array_like=True):
    """The shape of one output of a graph, whose values are float32, little-endian, in C order."""

    name: str
    shape: List[int]


class GraphPorts(Struct, frozen=True, array_like=True):
    """What an open stick knows of a graph: the size of its input, pixels, and its outputs."""

    width: int
    height: int
    outputs: List[Tensor]


class PoolLayout(Struct, frozen=True, array_like=True):
    """Geometry of one frame pool. A slot holds at most `max_width` x `max_height` pixels."""

    pool: int
    slots: int
    max_width: int
    max_height: int
    depth_scale_m: Optional[float] = None
    """Metres per depth unit; None when there is no depth plane."""
    answer_bytes: int = 0
    """Bytes of the answer plane, into which a worker writes output tensors; 0: there is none, and workers only read."""


class Truth(Struct, frozen=True, array_like=True):
    """The true values of one object of a synthetic scene: distance = median depth of its visible pixels."""

    label: str
    label_id: int
    box: Box
    distance_m: float
    visible: float = 1.0
    """Share of the object's pixels that are not hidden, 0..1."""


class OverflowCounts(Struct, frozen=True):
    """Frames that a host has sent to its neighbours since its worker was started, by how they ended."""

    sent: int = 0
    """Requests; a frame that one neighbour refuses may be sent to another one."""
    answered: int = 0
    late: int = 0
    """No answer was there in time."""
    refused: int = 0
    """No neighbour takes frames of this graph, or those that were asked have no headroom."""
    held_back: int = 0
    """Not sent: the share of the link was used up."""
    bytes: int = 0
    """Of the pictures that were sent."""
    gap_s: float = 0.0
    """Time between two frames at which the share of the link is just used."""


class IntakeClient(Struct, frozen=True):
    """A program that sends pictures to an intake."""

    name: str
    """As the protocol tells it, or its address."""
    asked: int = 0
    answered: int = 0
    late: int = 0
    """Pictures whose answer was not there in time."""
    seen_s: float = 0.0
    """Seconds since it was heard last."""
    detail: Optional[str] = None
    """What is strange about it, for people."""
    handshakes: int = 0
    """Where the protocol has them: how often it has connected."""
    shed: int = 0
    """Pictures that were refused at once, because no stick could take them."""
