"""What an operator may ask of one stick: park, work, restart, forget.

A parked stick stays open and is read, and no policy sees it as usable; so its place in the cluster goes to another one. It works
again when it is asked to, or after a restart of the daemon. A stick that restarts gets no further frame, and its worker is stopped
when those in flight are answered, or after DRAIN_S.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncs_cluster.control_messages import ChangeStick, Done
from ncs_cluster.core.actions import Action, ForgetCalibration, ForgetPort, LogEvent
from ncs_cluster.core.child import State
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.replies import answer, refuse
from ncs_cluster.core.stick import Stick
from ncs_cluster.errors import did_you_mean

if TYPE_CHECKING:
    from ncs_cluster.core.engine import Engine

DRAIN_S = 5.0
"""The longest wait for the frames in flight of a stick that restarts; a stick that hangs has fewer."""
LONGEST_WHY = 200
"""Characters kept of a reason."""
NO_REASON = "at the operator's request"


def change(endpoint: Endpoint, request: ChangeStick, engine: Engine, now_s: float) -> list[Action]:
    """Carry out a request, and answer its client."""
    stick = _find(request.id, engine)
    if engine.stopping:
        return [refuse(endpoint, "the daemon is stopping")]
    if stick is None:
        known = [name for each in engine.sticks.by_id.values() for name in (each.spec.id, each.spec.name) if name]
        near = did_you_mean(request.id[:40], {*known} - {request.id}) or "; ncsctl status lists them"
        return [refuse(endpoint, f"there is no stick {request.id[:40]!a}{near}")]
    match request.verb:
        case "park" | "rest":
            why = (request.why or "").strip()[:LONGEST_WHY] or NO_REASON
            return _told(endpoint, stick, _park(stick, why, engine, now_s), f"is parked: {why}")
        case "work":
            if stick.parked is None:
                return [refuse(endpoint, f"{stick.label} is not parked")]
            return _told(endpoint, stick, _unpark(stick, engine, now_s), "is in rotation again")
        case "restart":
            if not stick.present:
                return [refuse(endpoint, f"{stick.label} is absent: plug it in")]
            return _told(endpoint, stick, _restart(stick, engine, now_s), f"restarts {NO_REASON}")
        case "forget":
            if stick.present:
                return [refuse(endpoint, f"{stick.label} is plugged in, and would be found again: unplug it first")]
            return _told(endpoint, stick, _forget(stick, calibration=request.calibration), "is forgotten")
        case verb:
            return [refuse(endpoint, f"a stick can be parked, work, restart or be forgotten, not {verb[:40]!a}")]


def roll_out(engine: Engine, now_s: float) -> list[Action]:
    """Restart the next stick whose worker lacks a graph of the settings."""
    stick, actions = engine.rollout.next()
    return actions if stick is None else [*actions, *_restart(stick, engine, now_s)]


def restart_due(engine: Engine, now_s: float) -> list[Action]:
    """Stop the workers of sticks that restart and have nothing in flight any more."""
    actions: list[Action] = []
    for stick in engine.sticks.by_id.values():
        if stick.restart_by_s is None:
            continue
        queue = engine.dispatcher.queue_of(stick.spec.id)
        if queue is not None and queue.in_flight and now_s < stick.restart_by_s:
            continue
        stick.restart_by_s = None
        # a process that has ended meanwhile starts anew by itself
        if stick.present and stick.child.state is not State.STARTING:
            actions += stick.child.restart(now_s)
        actions += engine.workers.regulate(stick, now_s)
    return actions


def _find(name: str, engine: Engine) -> Stick | None:
    """By its id, or by the operator's name of its port where only one stick has it."""
    known = [stick for stick in engine.sticks.by_id.values() if not stick.renamed and not stick.removed]
    exact = [stick for stick in known if stick.spec.id == name]
    named = [stick for stick in known if stick.spec.name == name]
    return exact[0] if exact else named[0] if len(named) == 1 else None


def _park(stick: Stick, why: str, engine: Engine, now_s: float) -> list[Action]:
    stick.parked = why
    return engine.workers.regulate(stick, now_s)


def _unpark(stick: Stick, engine: Engine, now_s: float) -> list[Action]:
    stick.parked = None
    return engine.workers.regulate(stick, now_s)


def _restart(stick: Stick, engine: Engine, now_s: float) -> list[Action]:
    stick.restart_by_s = now_s + DRAIN_S
    return engine.workers.regulate(stick, now_s) + restart_due(engine, now_s)


def _forget(stick: Stick, *, calibration: bool) -> list[Action]:
    """The stick leaves the status now, and the core once its process has exited."""
    stick.removed = True
    return [ForgetPort(stick.spec.id), *([ForgetCalibration(stick.spec.id)] if calibration else [])]


def _told(endpoint: Endpoint, stick: Stick, actions: list[Action], text: str) -> list[Action]:
    return [LogEvent("info", stick.spec.id, text, group=""), *actions, answer(endpoint, Done(f"{stick.label} {text}"))]
