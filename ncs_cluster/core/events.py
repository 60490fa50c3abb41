"""Events of the core other than the messages of children and clients. An event is a pair (endpoint, message): the endpoint is that
of the channel on which the message arrived, so a worker cannot report the exit of another one.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple, Union

from msgspec import Struct

from ncs_cluster.specs import JobSpec, Settings, StickSpec
from ncs_cluster.types import StickId


class Endpoint(NamedTuple):
    """The address of a peer of the supervisor."""

    kind: str
    """ "worker", "camera", "sink", "intake", "gateway", "client", "bus" or "operator"."""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


BUS = Endpoint("bus")
OPERATOR = Endpoint("operator")
SINK = Endpoint("sink")
"""The sink of the first --results."""
GATEWAY = Endpoint("gateway")


class StickFound(Struct, frozen=True):
    """A stick is plugged in."""

    stick: StickSpec


class StickGone(Struct, frozen=True):
    """A stick was unplugged. `renamed`: instead, its id came from a port that is not its boot port, and it is found under another
    id."""

    id: StickId
    renamed: bool = False


class DeviceIgnored(Struct, frozen=True):
    """A device that may be taken for a stick is plugged in and left alone."""

    port: str
    why: str
    """ "has an OAK camera ...", for people; empty when it has left."""


class StickListed(Struct, frozen=True):
    """The kernel lists the stick anew: it was plugged in, has booted, or has reset itself; or it lists the stick no more."""

    id: StickId
    state: str
    """ "rom": it waits in its boot ROM; "booted"; "missing"."""
    usb_mbps: float | None = None
    """Speed of the link of a booted stick, Mbit/s; None: not known. The boot ROM speaks USB 2 in every port."""


class Spawned(Struct, frozen=True):
    """The process exists; it has sent no message yet."""

    pid: int


class SpawnFailed(Struct, frozen=True):
    """The process could not be started. `permanent`: another try would fail too."""

    detail: str
    permanent: bool = True


class Exited(Struct, frozen=True):
    """The process has ended and is reaped. `how`, for the operator: "exit code 7", "killed by SIGSEGV"."""

    how: str
    code: int
    """As in subprocess.returncode: negative is a signal's number."""
    invalid: bool = False
    """The supervisor has killed the process: its message is not in the union of its channel, or a value is out of bounds."""


ProcessEvent = Union[Spawned, SpawnFailed, Exited]
BusEvent = Union[StickFound, StickGone, StickListed, DeviceIgnored]


class Configured(Struct, frozen=True):
    """New settings, validated by config: the difference to the present ones is applied; what is unchanged does not restart."""

    settings: Settings
    clients: Tuple[str, ...] = ()
    """Names of the clients that have asked for them, and get a Reloaded or the reason for the refusal."""


class JobGiven(Struct, frozen=True):
    """A client of the daemon's own user gives it a job."""

    job: JobSpec


class StopRequested(Struct, frozen=True):
    """SIGTERM or Ctrl-C: drain, then exit. A second one exits at once."""


OperatorEvent = Union[StopRequested, Configured]
