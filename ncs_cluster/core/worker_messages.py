"""What the sticks' processes say, and what becomes of the work of those that fall silent."""

from __future__ import annotations

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, Send
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import LONGEST_ERROR, State
from ncs_cluster.core.child_messages import accepts, check_protocol, handle_common
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.inference_health import InferenceHealth
from ncs_cluster.core.sticks import Stick, Sticks

RESETTING_S = 3.0
"""A worker that is asked to reset its stick says within this time that it does."""


class WorkerMessages:
    """One per stick."""

    def __init__(self, sticks: Sticks, cameras: Cameras, dispatcher: Dispatcher, inferences: InferenceHealth) -> None:
        self._sticks = sticks
        self._cameras = cameras
        self._dispatcher = dispatcher
        self._inferences = inferences

    def hear(self, stick: Stick, message: object, now_s: float) -> list[Action]:
        child = stick.child
        if not accepts(child, message):
            return []
        child.heard(now_s)
        match message:
            case m.Inferred(ticket=ticket, outcome=outcome, latency_s=latency_s):
                unit = self._dispatcher.answered(stick.spec.id, ticket, latency_s, now_s)
                if unit is None:
                    return []
                if outcome.error is None:
                    stick.inferences += 1
                    self._inferences.succeeded(now_s)
                else:
                    child.last_error = outcome.error[:LONGEST_ERROR]
                    self._inferences.failed(child.last_error, now_s)
                return self._cameras.inferred(unit, outcome, now_s) + self._cameras.grant(self._cameras.by_name[unit.stream])
            case m.Telemetry():
                self._sticks.measured(stick, message, now_s)
                return self._sticks.regulate(now_s)
            case m.StickLost(detail=detail):
                return self._lost(stick, detail, now_s)
            case m.StickOpened() if child.state is State.STOPPING:
                return []
            case m.StickOpened() if child.state is not State.OPENING:
                return child.kill(now_s, "says that it has opened a stick, unasked") + self._sticks.regulate(now_s)
            case m.StickOpened():
                return self._sticks.opened(stick, message, now_s) + self._sticks.regulate(now_s)
            case m.Hello():
                return check_protocol(child, message, now_s) or self._with_pools(stick, self._sticks.hello(stick, now_s))
            case m.Failed(reason="gone", detail=detail):
                stick.reported_missing = True
                child.failed(detail, permanent=False, away=True)
                return []
            case e.Exited(how=how):
                not_at_fault = self._dispatcher.not_at_fault(stick.spec.id)
                self._take_back(stick, now_s)
                self._sticks.boots.forget(stick.spec.id, now_s)
                actions = child.exited(how, now_s, not_at_fault=not_at_fault)
                if not stick.present:
                    child.last_error = "unplugged"
                return actions + self._sticks.regulate(now_s)
            case _:
                return handle_common(child, message, now_s)

    def open_due(self, now_s: float) -> list[Action]:
        """Those whose turn to boot has come."""
        actions: list[Action] = []
        for stick in self._sticks.due(now_s):
            if stick.child.state is State.OPENING:
                actions.append(Send(stick.child.endpoint, m.Reopen()))
            else:
                actions += self._with_pools(stick, self._sticks.open(stick, now_s))
        return actions

    def overdue(self, now_s: float) -> list[Action]:
        """Those whose sticks should have answered long ago."""
        actions: list[Action] = []
        for late in self._dispatcher.overdue(now_s):
            actions += self._hangs(self._sticks.by_id[late], now_s)
        return actions

    def fenced(self, now_s: float) -> None:
        """What is in the hands of processes that cannot be killed goes to others."""
        for stick in self._sticks.by_id.values():
            if stick.child.state is State.FENCED:
                self._take_back(stick, now_s)

    def _with_pools(self, stick: Stick, opening: list[Action]) -> list[Action]:
        """A worker hears what to open first, then of every pool."""
        return opening + self._cameras.pools.maps(stick.child.endpoint) if opening else []

    def _hangs(self, stick: Stick, now_s: float) -> list[Action]:
        """A stick that should have answered long ago is reset in place where its worker can; else the process ends."""
        queue, why = self._dispatcher.queues[stick.spec.id], "no answer in time: it hangs"
        if queue.can_reset and queue.reset_s is None and stick.child.running:
            queue.reset_s = now_s
            return [Send(stick.child.endpoint, m.ResetStick(why))]
        if queue.reset_s is not None and now_s < queue.reset_s + RESETTING_S:
            return []
        return stick.child.kill(now_s, why)

    def _lost(self, stick: Stick, detail: str, now_s: float) -> list[Action]:
        """Its worker resets it and opens it again; meanwhile it is as if the process had died."""
        child = stick.child
        if child.state in (State.STARTING, State.OPENING):
            return child.kill(now_s, "says that it has lost a stick which it had not opened")
        stick.reset_epoch += 1
        not_at_fault = self._dispatcher.not_at_fault(stick.spec.id)
        self._take_back(stick, now_s)
        actions = child.lost(detail, now_s, not_at_fault=not_at_fault)
        if actions and child.listening:
            stick.resets += 1
            if self._sticks.boots.ask(stick.spec.id, now_s, alone=stick.spec.alone):
                actions.append(Send(child.endpoint, m.Reopen()))
        return actions + self._sticks.regulate(now_s)

    def _take_back(self, stick: Stick, now_s: float) -> None:
        """The stick will not answer any more: its frames go to others, except those that have cost too many sticks."""
        for unit in self._dispatcher.detach(stick.spec.id):
            why = f"given up: {len(unit.tried)} times a stick died with it in hand ({', '.join(unit.tried)})"
            self._cameras.give_up(self._cameras.by_name[unit.stream], unit, why, now_s)
