"""Events of a session: ready, a result, a temperature, lost, closed. Pure. CPython 3.9."""

from __future__ import annotations

from typing import NamedTuple, Tuple, Union

from ncs_cluster.xlink.commands import Capabilities
from ncs_cluster.xlink.link import Data


class Ready(NamedTuple):
    """Every graph is loaded; `submit` may be called."""

    capabilities: Capabilities
    depths: Tuple[int, ...]
    """Inferences in flight, of each graph."""
    stages: Tuple[int, ...]


class Result(NamedTuple):
    """One inference. `data` are `outputs_size` bytes, each output at its offset. Latency counts from the sending of its tensor."""

    tag: int
    graph: int
    data: Data
    latency_s: float


class Thermal(NamedTuple):
    """One reading of the sensor, unchecked."""

    level: int
    """Throttle level 0, 1 or 2; 0 for any other value."""
    temperature_c: float


class Lost(NamedTuple):
    """The end of the session and of everything submitted. `reason` is one of StickError's."""

    reason: str
    detail: str


class Closed(NamedTuple):
    """The end of a session after `close`; the chip resets itself."""


Event = Union[Ready, Result, Thermal, Lost, Closed]
