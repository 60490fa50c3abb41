"""supervisor <-> worker. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Annotated, List, Optional, Union

from msgspec import Meta

from ncs_cluster.messages.child import Failed, Heartbeat, Hello, Message, Phase, Stop
from ncs_cluster.messages.memory import MapPool, UnmapPool
from ncs_cluster.specs import GraphSpec, StickSpec
from ncs_cluster.types import FrameRef, GraphPorts, Outcome, OverflowCounts, Tensor

Depth = Annotated[int, Meta(ge=1, le=64)]
Seconds = Annotated[float, Meta(ge=0.0, le=1e6)]
"""NaN does not decode."""


class OpenStick(Message, frozen=True):
    """The first message to a worker. Infer.graph is an index into `graphs`."""

    stick: StickSpec
    graphs: List[GraphSpec]
    time_scale: float = 1.0


class Infer(Message, frozen=True):
    """One unit of work. `ticket` comes back with the result and is never used twice."""

    ticket: int
    graph: int
    frame: FrameRef
    reset_epoch: int = 0
    """How many StickLost of this worker the supervisor had received when it sent this; after a later loss the unit is on other
    sticks, and the worker ignores this message."""
    raw: bool = False
    """The answer is the output tensors, in the answer plane of the frame's slot, and nothing is decoded."""


class ChangeGraphs(Message, frozen=True):
    """New thresholds, labels and decoder options, for the graphs of OpenStick in the same order; their models stay loaded."""

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
    answers: List[List[float]] = []
    """Of each graph, figures of its answer to a known picture; sticks of one backend that work have the same. Empty: not known."""
    ports: List[GraphPorts] = []
    """Of each graph. Empty: not known."""


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
    outputs: List[Tensor] = []
    """Of a raw request: the tensors in the answer plane, one after another."""
    missed: str = ""
    """Of a device that is other hosts: why there is no answer, see backends.base.Completed; empty: there is one."""


class Overflowed(Message, frozen=True):
    """What other hosts have done with frames. Sent with Telemetry, where the device is other hosts."""

    counts: OverflowCounts


ToWorker = Union[OpenStick, ChangeGraphs, MapPool, UnmapPool, Infer, ResetStick, Reopen, InjectFault, Stop]
FromWorker = Union[Hello, Heartbeat, Phase, StickOpened, StickLost, Telemetry, Overflowed, Inferred, Failed]
