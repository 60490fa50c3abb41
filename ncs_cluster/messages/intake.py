"""supervisor <-> a process that takes pictures of other programs, the gateway among them. Runs on CPython 3.9.

The process writes a picture into a slot that it was granted, and sends Ask; each Ask gets one Answered, unless it was withdrawn.
"""

from __future__ import annotations

from typing import Annotated, Dict, List, Optional, Union

from msgspec import Meta, Struct

from ncs_cluster.messages.camera import Grant
from ncs_cluster.messages.child import Failed, Heartbeat, Hello, Line, Message, Stop, Warned, WorkTold
from ncs_cluster.messages.memory import MapPool, UnmapPool
from ncs_cluster.specs import GraphSpec, IntakeSpec
from ncs_cluster.types import FrameNumber, FrameRef, GraphName, IntakeClient, Outcome, Tensor

MOST_CLIENTS = 64


class ServedGraph(Struct, frozen=True):
    """A graph as other programs see it: uint8 [1, height, width, 3] in, float32 out."""

    name: GraphName
    decoder: str
    labels: Dict[int, str] = {}
    width: int = 0
    """Of its input, pixels; 0: no stick has told it yet."""
    height: int = 0
    outputs: List[Tensor] = []
    spec: Optional[GraphSpec] = None
    """As the settings have it."""


class OpenIntake(Message, frozen=True):
    """The process takes pictures from now on. Answered by MapPool, Served and grants."""


class Served(Message, frozen=True):
    """What the sticks can do. Sent at the start; at once when sticks or graphs have changed, else at most once a second."""

    graphs: List[ServedGraph]
    sticks: int
    """Sticks that can work now."""
    capacity_fps: Optional[float] = None
    """Of all sticks together, inferences per second; None: not known yet."""
    retry_after_s: Optional[int] = None
    """Overloaded: when a client should ask again; None: it may ask now."""
    spare_fps: Optional[float] = None
    """What the sticks sustain at this moment beyond what live cameras ask for; None: not known yet."""


class Ask(Message, frozen=True):
    """The granted slot of `frame` holds a picture. `frame.frame` numbers the ask; no two that are open share a number.

    `raw`: the answer is the graph's output tensors as they are, not decoded.
    """

    graph: GraphName
    frame: FrameRef
    raw: bool = False


class Withdraw(Message, frozen=True):
    """Nobody waits for this answer any more."""

    ask: FrameNumber


class Answered(Message, frozen=True):
    """The result of an Ask; where there is none, `outcome.error` has the reason.

    `outputs`, of a raw ask: the tensors, one after another in the answer plane of its slot, which is read before the next message.
    """

    ask: FrameNumber
    outcome: Outcome
    stick: Optional[str] = None
    latency_s: float = 0.0
    """On the stick."""
    outputs: List[Tensor] = []


class ServeIntake(Message, frozen=True):
    """The first message to a process that is an intake and nothing else."""

    intake: IntakeSpec


class IntakeReady(Message, frozen=True):
    """The process listens, at this address."""

    address: Line


class InUse(Message, frozen=True):
    """Another supervisor has this process, and keeps it. `detail`: which one, and what to do, one line."""

    detail: Line


class ClientsSeen(Message, frozen=True):
    """Sent every second where something has changed: all programs that were seen lately."""

    clients: Annotated[List[IntakeClient], Meta(max_length=MOST_CLIENTS)]


ToIntake = Union[MapPool, UnmapPool, Served, Grant, Answered]
FromIntake = Union[OpenIntake, Ask, Withdraw]
ToIntakeProcess = Union[ServeIntake, MapPool, UnmapPool, Served, Grant, Answered, Stop]
FromIntakeProcess = Union[Hello, Heartbeat, IntakeReady, OpenIntake, Ask, Withdraw, ClientsSeen, InUse, WorkTold, Warned, Failed]
