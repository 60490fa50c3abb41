"""Messages between `ncsctl calibrate` and the process that drives its stick. Runs on CPython 3.9."""

from __future__ import annotations

from typing import List, Optional, Union

from ncs_cluster.messages.child import Failed, Hello, Message, Stop
from ncs_cluster.specs import GraphSpec, StickSpec


class OpenHeated(Message, frozen=True):
    """The stick to open, and what it works on."""

    stick: StickSpec
    graphs: List[GraphSpec]
    time_scale: float
    """Plant seconds in a second."""
    limit_c: float


class Load(Message, frozen=True):
    """Work without a break from now on, or rest."""

    on: bool


class Heated(Message, frozen=True):
    """The stick is open."""

    device: str
    firmware: Optional[str]


class Measured(Message, frozen=True):
    """One reading. Times are plant seconds."""

    at_s: float
    """When it was taken, since the stick was opened."""
    temperature_c: Optional[float]
    level: int
    """The firmware's throttle level."""
    worked_s: float
    """For how long the stick has worked since it was opened: its inferences, by the usual time of one."""
    kept_cool: bool
    """It rests though it should work, because it is near the limit."""


ToHeated = Union[OpenHeated, Load, Stop]
FromHeated = Union[Hello, Heated, Measured, Failed]
