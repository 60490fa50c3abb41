"""Messages that every child sends or receives. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Annotated, List, Optional

from msgspec import Meta, Struct

Line = Annotated[str, Meta(max_length=500)]


class Message(Struct, frozen=True, array_like=True, tag=True):
    """Base of all messages."""


class Hello(Message, frozen=True):
    """The first message of a child."""

    protocol: int
    pid: int
    python: str


class Heartbeat(Message, frozen=True):
    """The child's event loop runs. Sent every second."""


class Phase(Message, frozen=True):
    """A long blocking step begins: "opening", "compiling". Each has its own deadline; no heartbeat is expected meanwhile."""

    name: str


class Failed(Message, frozen=True):
    """The child's last message before it exits. `reason`: as errors.StickError.reason. `permanent`: the restart waits 60 s."""

    reason: str
    detail: str
    permanent: bool = False


class Stop(Message, frozen=True):
    """Finish the requests in flight, close, exit with code 0."""


class WorkTold(Message, frozen=True):
    """Of a process that takes part in the fleet: sent when it changes."""

    drained: Optional[bool]
    """An operator has taken this host out of the work of the fleet, and the process takes nothing more; None: it does not know."""
    in_hand: Annotated[int, Meta(ge=0)] = 0
    """Chunks that it has."""
    jobs: Optional[Annotated[List[Line], Meta(max_length=1000)]] = None
    """Jobs over hosts that are open, as the server names them; None: it does not know."""


class Warned(Message, frozen=True):
    """One line for the log of events."""

    text: Line
