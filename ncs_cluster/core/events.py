"""Events of the core beside the messages of children and clients. An event is (endpoint, message); the endpoint is the channel the
message came by, so a worker cannot report another's death.
"""

from __future__ import annotations

from typing import NamedTuple, Union

from msgspec import Struct

from ncs_cluster.specs import Settings, StickSpec
from ncs_cluster.types import StickId


class Endpoint(NamedTuple):
    """One end of the supervisor's wires."""

    kind: str
    """ "worker", "camera", "sink", "gateway", "client", "bus" or "operator"."""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


BUS = Endpoint("bus")
OPERATOR = Endpoint("operator")
SINK = Endpoint("sink")
"""The sink of --results."""
GATEWAY = Endpoint("gateway")


class StickFound(Struct, frozen=True):
    """A stick is plugged in."""

    stick: StickSpec


class StickGone(Struct, frozen=True):
    """A stick was pulled; or `renamed`: it was called by a port that is not its home, and is found under another name."""

    id: StickId
    renamed: bool = False


class Spawned(Struct, frozen=True):
    """The process runs; nothing was heard of it yet."""

    pid: int


class SpawnFailed(Struct, frozen=True):
    """The process could not be started at all."""

    detail: str


class Exited(Struct, frozen=True):
    """The process is gone and reaped. `how` is for people: "exit code 7", "killed by SIGSEGV"."""

    how: str
    code: int
    """As subprocess gives it: negative is a signal."""


ProcessEvent = Union[Spawned, SpawnFailed, Exited]
BusEvent = Union[StickFound, StickGone]


class Configured(Struct, frozen=True):
    """New settings, judged whole by config: the difference is applied, and nothing restarts that need not."""

    settings: Settings


class StopRequested(Struct, frozen=True):
    """SIGTERM, Ctrl-C, or q in a window: drain and end. A second one ends at once."""


OperatorEvent = Union[StopRequested, Configured]
