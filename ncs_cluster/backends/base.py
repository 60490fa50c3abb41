"""What every accelerator looks like to its worker.

A stick is only full with several requests in flight, so a backend submits and collects; `DeviceInfo.max_in_flight` says how many
and the core's dispatcher never sends more. The worker waits on its channel and on `wake_fd` together, at most until `due_s`, then
calls `collect`. Nothing here blocks but `open` and `close`. Backends raise only StickError. Runs on CPython 3.9.

A backend that can reset its stick in place has `reopen(phase) -> DeviceInfo` too: after StickError("hang" or "link", ...) the
worker forgets all requests and calls it, and the process lives on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Mapping, NamedTuple, Optional, Protocol

from ncs_cluster.types import ResizeTransform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ncs_cluster.specs import GraphSpec, StickSpec


class DeviceInfo(NamedTuple):
    """What an open stick is."""

    name: str
    """For people: "simulated stick", "Intel(R) Xeon(R)"."""
    has_sensor: bool
    max_in_flight: int
    """Requests it can hold at once."""
    firmware: Optional[str] = None
    """What runs on it, where it says so."""


class Completed(NamedTuple):
    """One answered request."""

    tag: int
    outputs: Optional[Mapping[str, NDArray[Any]]]
    """Output name -> float array as the graph gives it; None where the stick runs no graph (simulated, latency only)."""
    latency_s: float
    """From the moment the stick took it to its answer."""
    transform: ResizeTransform = ResizeTransform()
    """How the frame was laid into the graph's input."""


class Reading(NamedTuple):
    """One look at the sensor. `temperature_c` is passed on as read, also when it is absurd: judging it is the core's."""

    temperature_c: Optional[float]
    throttle_level: Optional[int] = None
    """How far the stick's own firmware slows it, 0: not at all. None where that is not told."""
    age_s: float = 0.0
    """How long ago it was looked at: where a library holds the answer back, the last one is given again with its age."""


class Backend(Protocol):
    """One open stick."""

    wake_fd: Optional[int]
    """Readable when something may be collected; None when only `due_s` tells."""
    due_s: Optional[float]
    """time.monotonic() at which something may be collected; None when nothing is due."""

    def open(self, stick: StickSpec, graphs: List[GraphSpec], phase: Callable[[str], None]) -> DeviceInfo:
        """Open the stick and load every graph; `phase` is called as each long step begins ("opening", "compiling")."""

    def submit(self, tag: int, graph: int, image: Optional[NDArray[np.uint8]]) -> None:
        """Begin one inference. `image` is uint8 BGR [h, w, 3] in shared memory, valid until collected; None if `wants_pixels` is
        false. Host-side resize into the graph's input happens here."""

    @property
    def wants_pixels(self) -> bool:
        """False when no pixel is ever looked at, so the frame pool need not be mapped."""

    def collect(self) -> List[Completed]:
        """All requests answered since the last call, in any order."""

    def read_sensor(self) -> Reading: ...

    def trouble(self, kind: str, for_s: float) -> None:
        """Misbehave on command (simulated only; others raise StickError("protocol", ...))."""

    def close(self) -> None: ...
