"""Messages that every child sends or receives. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Annotated

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


class Warned(Message, frozen=True):
    """One line for the log of events."""

    text: Line
