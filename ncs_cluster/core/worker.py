"""One worker, the process that drives a stick: its messages, and the units of a stick that hangs, is lost or exits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union, assert_never

from ncs_cluster import messages as m
from ncs_cluster.core import events as e
from ncs_cluster.core.actions import Action, ForgetPort, LogEvent, Send
from ncs_cluster.core.child import LONGEST_ERROR, State
from ncs_cluster.core.child_health import silent
from ncs_cluster.core.child_messages import accepts, check_protocol, handle_common
from ncs_cluster.core.known_answers import Answers
from ncs_cluster.core.loaded_graphs import has_all, model
from ncs_cluster.core.stick import Stick

if TYPE_CHECKING:
    from ncs_cluster.core.workers import Workers

RESETTING_S = 3.0
"""A worker reports StickLost within this time after ResetStick; else it is killed."""
HANGS = "no result in time: stick hangs"
UNLIKE = "gives another answer to the known picture than most sticks"
STOPPED = "no result in time and no heartbeat: worker hangs"

WorkerMessage = Union[m.FromWorker, e.ProcessEvent]


class Worker:
    """The worker of one stick."""

    def __init__(self, stick: Stick, workers: Workers) -> None:
        self.stick = stick
        self._workers = workers

    def handle(self, message: WorkerMessage, now_s: float) -> list[Action]:
        stick, child = self.stick, self.stick.child
        if not accepts(child, message):
            return []
        child.message_received(now_s)
        match message:
            case m.Inferred(missed=missed) if missed:
                return self._workers.missed(stick, message, now_s)
            case m.Inferred():
                return self._inferred(message, now_s)
            case m.Overflowed(counts=counts):
                self._workers.count_overflow(stick, counts, now_s)
                return []
            case m.Telemetry():
                return self._workers.record_telemetry(stick, message, now_s)
            case m.StickLost(detail=detail):
                return self._lost(detail, now_s)
            case m.StickOpened():
                return self._opened(message, now_s)
            case m.Hello():
                return check_protocol(child, message, now_s) or self._with_pools(self._workers.sticks.hello(stick, now_s))
            case m.Failed(reason="gone", detail=detail):
                return self._missing(detail)
            case m.Failed(reason="wrong", detail=detail):
                child.distrust(detail)
                return []
            case m.Failed(reason="graph", detail=detail):
                elsewhere = self._graphs_run_elsewhere()
                stick.refuses_graphs = not elsewhere and stick.graphs == self._workers.sticks.graphs
                child.record_failure(detail, permanent=not elsewhere and message.permanent)
                return []
            case e.Exited(how=how):
                return self._exited(how, now_s)
            case m.Heartbeat() | m.Phase() | m.Failed() | e.Spawned() | e.SpawnFailed():
                return handle_common(child, message, now_s)
            case _:
                assert_never(message)

    def open(self, now_s: float) -> list[Action]:
        """It is this stick's turn to boot: send OpenStick, or Reopen after a loss."""
        if self.stick.child.state is State.OPENING:
            return [Send(self.stick.child.endpoint, m.Reopen())]
        return self._with_pools(self._workers.sticks.open(self.stick, now_s))

    def handle_hang(self, now_s: float) -> list[Action]:
        """The stick's oldest request is overdue: reset the stick where its worker can, else kill the process. A worker without a
        heartbeat cannot: it is stopped itself."""
        queue = self._workers.dispatcher.queue_of(self.stick.spec.id)
        assert queue is not None
        if queue.can_reset and silent(self.stick.child, now_s):
            return self.stick.child.kill(now_s, STOPPED)
        if queue.can_reset and queue.reset_s is None and self.stick.child.running:
            queue.reset_s = now_s
            return [Send(self.stick.child.endpoint, m.ResetStick(HANGS))]
        if queue.reset_s is not None and now_s < queue.reset_s + RESETTING_S:
            return []
        return self.stick.child.kill(now_s, HANGS)

    def handle_elsewhere(self, now_s: float) -> list[Action]:
        """The worker drives another stick than its own: end it, and learn where the stick returns."""
        actions = self.stick.child.kill(now_s, "its stick is in its boot ROM: the worker drives another stick")
        return [*self._forget_port(), *actions]

    def _forget_port(self) -> list[Action]:
        """The port of return that its worker has is doubtful; one that was learned since is not."""
        stick = self.stick
        return [ForgetPort(stick.spec.id)] if not stick.spec.exclusive_boot and stick.spec == stick.opened_as else []

    def requeue(self, now_s: float) -> None:
        """Return the stick's units to their lanes; give up those with which dispatch.MOST_TRIES sticks have failed."""
        for unit in self._workers.dispatcher.detach(self.stick.spec.id):
            reason = f"given up: {len(unit.tried)} stick failures with this frame in flight ({', '.join(unit.tried)})"
            self._workers.streams.give_up(unit, reason, now_s)

    def _inferred(self, message: m.Inferred, now_s: float) -> list[Action]:
        unit = self._workers.dispatcher.answered(self.stick.spec.id, message.ticket, message.latency_s, now_s)
        if unit is None:
            return []
        unit.outputs, unit.took_s = message.outputs, message.latency_s
        slowed: list[Action] = []
        if message.outcome.error is None:
            slowed = self._workers.slowdowns.answered(self.stick, unit, message.latency_s, now_s)
            self.stick.inferences += 1
            self.stick.child.works(now_s)
            self._workers.health.succeeded(now_s)
        else:
            self.stick.failed += 1
            self.stick.child.last_error = message.outcome.error[:LONGEST_ERROR]
            self._workers.health.failed(self.stick.child.last_error, now_s)
        return slowed + self._workers.streams.inferred(unit, message.outcome, message.latency_s, now_s)

    def _opened(self, message: m.StickOpened, now_s: float) -> list[Action]:
        child = self.stick.child
        if child.state is State.STOPPING:
            return []
        if child.state is not State.OPENING:
            actions = child.kill(now_s, "sent StickOpened, not requested")
        else:
            names = [graph.name for graph in self.stick.graphs]
            actions = self._workers.sticks.opened(self.stick, message, now_s, self._workers.streams.indices_at_stick(names))
            actions += self._compare(message.answers, now_s)
            if message.ports:
                self._workers.ports = {**self._workers.ports, **dict(zip(names, message.ports, strict=False))}
        return actions + self._workers.regulate(self.stick, now_s)

    def _compare(self, answers: Answers, now_s: float) -> list[Action]:
        """Compare the stick's answers to the known picture with those of the other sticks; quarantine a minority."""
        known, stick = self._workers.known_answers, self.stick.spec
        known.set(stick.id, (stick.backend, [model(graph) for graph in self.stick.graphs]), answers)
        differ, wrong = known.differing(stick.id)
        actions: list[Action] = []
        for each in wrong:
            known.forget(each)
            child = self._workers.sticks.by_id[each].child
            child.distrust(UNLIKE)
            actions += child.kill(now_s, UNLIKE)
        if differ and not wrong:
            text = f"gives another answer to the known picture than {', '.join(differ)}: one of them computes wrongly"
            actions.append(LogEvent("warning", stick.id, text))
        return actions

    def _lost(self, detail: str, now_s: float) -> list[Action]:
        """The worker has lost its stick, resets it and opens it again; its units return to their lanes as after an exit."""
        stick, child = self.stick, self.stick.child
        if child.state in (State.STARTING, State.OPENING):
            return child.kill(now_s, "sent StickLost before StickOpened")
        stick.reset_epoch += 1
        not_at_fault = self._failed(now_s)
        self.requeue(now_s)
        actions = child.device_lost(detail, now_s, not_at_fault=not_at_fault)
        if actions and child.listening:
            stick.resets += 1
            if self._workers.sticks.boots.request(stick.spec.id, now_s, exclusive=stick.spec.exclusive_boot):
                actions.append(Send(child.endpoint, m.Reopen()))
        return actions + self._workers.regulate(stick, now_s)

    def _failed(self, now_s: float) -> bool:
        """The stick failed with its present requests in flight. True: it is not at fault, since other sticks failed with one of its
        units too."""
        stick, queue = self.stick, self._workers.dispatcher.queue_of(self.stick.spec.id)
        not_at_fault = self._workers.dispatcher.not_at_fault(stick.spec.id)
        real = stick.present and not stick.spec.simulated and stick.child.state is not State.STOPPING
        if queue is not None and real and not not_at_fault:
            stick.in_flight_limit.failed(len(queue.in_flight), now_s)
        return not_at_fault

    def _graphs_run_elsewhere(self) -> bool:
        """Another stick of the pool has loaded the same graphs, so a refusal is this stick's fault and may pass."""
        others = self._workers.sticks.of_pool(self.stick.spec.pool)
        return any(each.child.running and has_all(each.graphs, self.stick.graphs) for each in others if each is not self.stick)

    def _missing(self, detail: str) -> list[Action]:
        """The worker has lost its stick or does not find it. In a boot the reason may be that it returns at another port."""
        stick, opening = self.stick, self.stick.child.state is State.OPENING
        stick.reported_missing = True
        stick.child.record_failure(detail, permanent=False, device_missing=True)
        return self._forget_port() if opening else []

    def _exited(self, how: str, now_s: float) -> list[Action]:
        stick = self.stick
        self._workers.known_answers.forget(stick.spec.id)
        not_at_fault = self._failed(now_s)
        self.requeue(now_s)
        self._workers.sticks.boots.cancel(stick.spec.id, now_s)
        actions = stick.child.exited(how, now_s, not_at_fault=not_at_fault)
        actions += self._workers.sticks.exited(stick, now_s)
        if not stick.present:
            stick.child.last_error = "unplugged"
        return actions + self._workers.regulate(stick, now_s)

    def _with_pools(self, opening: list[Action]) -> list[Action]:
        """The opening message first, then every frame pool; nothing without an opening message."""
        return opening + self._workers.pools.maps(self.stick.child.endpoint) if opening else []
