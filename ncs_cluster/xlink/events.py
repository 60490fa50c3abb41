"""What a session tells its owner: the stick is ready, has a result or a temperature, was lost, is closed. Pure. CPython 3.9."""

from __future__ import annotations

from typing import NamedTuple, Tuple, Union

from ncs_cluster.xlink.commands import Capabilities
from ncs_cluster.xlink.link import Data


class Ready(NamedTuple):
    """Every graph is on the stick; `submit` may be called."""

    capabilities: Capabilities
    depths: Tuple[int, ...]
    """Of each graph, how many inferences it holds at once."""
    stages: Tuple[int, ...]


class Result(NamedTuple):
    """One inference. `data` are `outputs_size` bytes, each output at its offset. Latency counts from when its tensor left."""

    tag: int
    graph: int
    data: Data
    latency_s: float


class Thermal(NamedTuple):
    """One look at the sensor, passed on as it came, also when it is absurd."""

    level: int
    """Throttle level: 0, 1, 2; 0 for what is none of these."""
    temperature_c: float


class Lost(NamedTuple):
    """The end of the session and of everything submitted. `reason` is one of StickError's."""

    reason: str
    detail: str


class Closed(NamedTuple):
    """The end of a session that was asked to end; the chip resets itself."""


Event = Union[Ready, Result, Thermal, Lost, Closed]
