"""A child in a given state: for tests of exact actions."""

from __future__ import annotations

from ncs_cluster.core.actions import Action, Kill, LogEvent, Send, Spawn
from ncs_cluster.core.child import Child, State
from ncs_cluster.core.events import Endpoint
from ncs_cluster.messages import Stop

WHO = Endpoint("worker", "1")
SPAWN: list[Action] = [Spawn(WHO, "default")]
STOP: list[Action] = [Send(WHO, Stop())]


def fresh(endpoint: Endpoint = WHO) -> Child:
    return Child(endpoint, "default")


def healthy(now_s: float = 0.0) -> Child:
    child = fresh()
    child.start(now_s)
    child.hello(now_s)
    child.ready(now_s)
    return child


def child_in(state: State, endpoint: Endpoint = WHO) -> Child:
    """A child that has reached `state` by the events of its life; the next event is at 100 s."""
    child = fresh(endpoint)
    if state is State.DOWN:
        return child
    child.start(0.0)
    child.spawned(7)
    if state is State.BACKOFF:
        child.exited("exit code 1", 99.5)
    if state in (State.STARTING, State.BACKOFF):
        return child
    child.hello(60.0)
    if state is State.OPENING:
        return child
    child.ready(98.0)
    if state is State.STOPPING:
        child.stop(99.0)
    elif state in (State.KILLED, State.FENCED):
        child.kill(90.0 if state is State.FENCED else 99.0, "hangs")
    if state is State.FENCED:
        child.tick(95.0)
    return child


def logged(level: str, text: str) -> LogEvent:
    return LogEvent(level, "worker 1", text)


def killed(why: str) -> list[Action]:
    return [logged("warning", f"killed: {why}"), Kill(WHO)]
