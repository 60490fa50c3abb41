"""What every child may say, whatever it is for."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action
from ncs_cluster.core.child import Child, State


def accepts(child: Child, message: object) -> bool:
    """The late words of a child that was killed change nothing, nor a second greeting; what is said of its process does."""
    if isinstance(message, m.Hello):
        return child.state is State.STARTING
    return child.accepts or isinstance(message, (e.Spawned, e.SpawnFailed, e.Exited))


def check_protocol(child: Child, hello: m.Hello, now_s: float) -> list[Action]:
    """A child of another version is not listened to."""
    child.spawned(hello.pid)
    if hello.protocol == m.PROTOCOL:
        return []
    return child.kill(now_s, f"speaks protocol {hello.protocol}, not {m.PROTOCOL}: install the same version for its interpreter")


def handle_common(child: Child, message: object, now_s: float) -> list[Action]:
    """What every child may say."""
    match message:
        case m.Phase(name=name):
            child.phase(name, now_s)
        case m.Failed(detail=detail, permanent=permanent):
            child.failed(detail, permanent=permanent)
        case e.Spawned(pid=pid):
            child.spawned(pid)
        case e.SpawnFailed(detail=detail):
            child.failed(detail, permanent=True)
            return child.exited("could not be started", now_s)
        case _:
            pass
    return []
