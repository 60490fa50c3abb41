"""Handling of the messages and events that all kinds of children share."""

from __future__ import annotations

from typing import Union, assert_never

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action
from ncs_cluster.core.child import Child, State

CommonMessage = Union[m.Heartbeat, m.Phase, m.Failed, e.Spawned, e.SpawnFailed]

_OF_PROCESS = (e.Spawned, e.SpawnFailed, e.Exited)


def accepts(child: Child, message: object) -> bool:
    """False: drop the message. Dropped are messages of a killed child and a second Hello, never the events of its process."""
    if isinstance(message, m.Hello):
        return child.state is State.STARTING
    return child.accepts or isinstance(message, _OF_PROCESS)


def check_protocol(child: Child, hello: m.Hello, now_s: float) -> list[Action]:
    """Kill a child that uses another protocol version; no actions for this version."""
    child.spawned(hello.pid)
    if hello.protocol == m.PROTOCOL:
        return []
    return child.kill(now_s, f"uses protocol {hello.protocol}, not {m.PROTOCOL}: install the daemon's version for its interpreter")


def handle_common(child: Child, message: CommonMessage, now_s: float) -> list[Action]:
    """Handle a message with one meaning for every kind of child."""
    match message:
        case m.Heartbeat():
            return []
        case m.Phase(name=name):
            child.phase(name, now_s)
            return []
        case m.Failed(detail=detail, permanent=permanent):
            child.record_failure(detail, permanent=permanent)
            return []
        case e.Spawned(pid=pid):
            child.spawned(pid)
            return []
        case e.SpawnFailed(detail=detail, permanent=permanent):
            child.record_failure(detail, permanent=permanent)
            return child.exited("could not be started", now_s)
        case _:
            assert_never(message)
