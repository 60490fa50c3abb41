"""supervisor <-> fork server. Runs on CPython 3.9."""

from __future__ import annotations

from typing import Union

from ncs_cluster.messages.child import Hello, Message, Stop


class Fork(Message, frozen=True):
    """Fork a child; its end of its channel comes with this message. `ticket` comes back with the answer."""

    ticket: int
    kind: str
    """Module below ncs_cluster.processes: "worker" or "camera"."""
    name: str
    """For the child's log lines: "worker sim-1"."""


class Forked(Message, frozen=True):
    """The process exists, as a child of the supervisor. It runs once this message is sent."""

    ticket: int
    pid: int


class ForkFailed(Message, frozen=True):
    """fork failed (EAGAIN, ENOMEM), or the new process exited at once."""

    ticket: int
    detail: str


ToForkServer = Union[Fork, Stop]
FromForkServer = Union[Hello, Forked, ForkFailed]
