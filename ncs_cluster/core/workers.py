"""All workers, the regulators of their pools, and the parts of the core they share."""

from __future__ import annotations

from collections.abc import Sequence

from ncs_cluster import messages as m
from ncs_cluster.core.actions import Action
from ncs_cluster.core.child import State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.frame_pools import FramePools
from ncs_cluster.core.inference_health import InferenceHealth
from ncs_cluster.core.known_answers import KnownAnswers
from ncs_cluster.core.overflow import Overflow
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.slowdowns import Slowdowns
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.streams import Streams
from ncs_cluster.core.work import DROPPED, LATE
from ncs_cluster.core.worker import Worker
from ncs_cluster.specs import GraphSpec, PoolSpec
from ncs_cluster.types import GraphPorts, OverflowCounts, StickId


class Workers:
    """One per stick, and one regulator per pool."""

    def __init__(
        self, pool_specs: Sequence[PoolSpec], sticks: Sticks, streams: Streams, dispatcher: Dispatcher, pools: FramePools
    ) -> None:
        self.sticks = sticks
        self.streams = streams
        self.dispatcher = dispatcher
        self.pools = pools
        self.health = InferenceHealth()
        self.known_answers = KnownAnswers()
        self.slowdowns = Slowdowns(sticks, dispatcher)
        self.ports: dict[str, GraphPorts] = {}
        """Of each graph, as the stick that loaded it last has told. Replaced, not changed, by another one."""
        self.overflow: Overflow | None = None
        self.regulators = {spec.name: Regulator(spec, sticks, dispatcher) for spec in pool_specs}

    def of(self, stick: StickId) -> Worker | None:
        known = self.sticks.by_id.get(stick)
        return Worker(known, self) if known is not None else None

    @property
    def listening(self) -> list[Endpoint]:
        return [stick.child.endpoint for stick in self.sticks.by_id.values() if stick.child.listening]

    # -- heat

    def record_telemetry(self, stick: Stick, message: m.Telemetry, now_s: float) -> list[Action]:
        """Telemetry arrived: the pool is regulated at once where the stick's `usable` or `is_hot` changed."""
        scale = self.sticks.time_scale(stick)
        changed = stick.record_telemetry(message, now_s * scale, message.age_s * scale)
        queue = self.dispatcher.queue_of(stick.spec.id)
        if queue is not None:
            queue.throttle(message.throttle_level or 0)
            queue.note_reading(now_s - message.age_s)
        regulator = self.regulators.get(stick.spec.pool)
        if regulator is None:
            return []
        if changed:
            return regulator.regulate(now_s)
        regulator.update_reading_deadline(stick)
        return []

    # -- neighbours

    def missed(self, stick: Stick, message: m.Inferred, now_s: float) -> list[Action]:
        """Other hosts have no answer to a frame: nothing is wrong with the device."""
        unit = self.dispatcher.missed(stick.spec.id, message.ticket, now_s)
        if unit is None or self.overflow is None:
            return []
        self.overflow.missed(stick, message.missed, now_s)
        return self.streams.missed(unit, LATE if message.missed == "late" else DROPPED, now_s)

    def count_overflow(self, stick: Stick, counts: OverflowCounts, now_s: float) -> None:
        if self.overflow is not None:
            self.overflow.count(stick, counts, now_s)

    def regulate(self, stick: Stick, now_s: float) -> list[Action]:
        """Regulate the pool of this stick after a change."""
        regulator = self.regulators.get(stick.spec.pool)
        return regulator.regulate(now_s) if regulator else []

    def regulate_due(self, now_s: float) -> list[Action]:
        actions: list[Action] = []
        for regulator in self.regulators.values():
            if regulator.deadline_s is not None and now_s >= regulator.deadline_s:
                actions += regulator.regulate(now_s)
        return actions

    @property
    def deadline_s(self) -> float | None:
        first_s: float | None = None
        for regulator in self.regulators.values():
            due_s = regulator.deadline_s
            if due_s is not None and (first_s is None or due_s < first_s):
                first_s = due_s
        return first_s

    # -- time

    def open_due(self, now_s: float) -> list[Action]:
        """Open the sticks whose turn to boot it is."""
        return [action for stick in self.sticks.due(now_s) for action in Worker(stick, self).open(now_s)]

    def tick(self, now_s: float) -> list[Action]:
        """Reset or kill the workers of sticks that are overdue."""
        actions: list[Action] = []
        for late in self.dispatcher.overdue(now_s):
            actions += Worker(self.sticks.by_id[late], self).handle_hang(now_s)
        for stick in self.sticks.by_id.values():
            if stick.elsewhere(now_s):
                actions += Worker(stick, self).handle_elsewhere(now_s)
        return actions + self.sticks.raise_in_flight(now_s) + self.slowdowns.tick(now_s)

    def requeue_fenced(self, now_s: float) -> None:
        """Return the units of fenced workers, which cannot be killed, to their lanes."""
        for stick in self.sticks.by_id.values():
            if stick.child.state is State.FENCED:
                Worker(stick, self).requeue(now_s)

    # -- configured

    def configure(self, pools: Sequence[PoolSpec], graphs: list[GraphSpec], now_s: float) -> list[Action]:
        """Apply new pools and graphs. Which workers restart for a graph, and when, is decided by `rollout`."""
        actions: list[Action] = []
        for spec in pools:
            if spec.name in self.regulators:
                actions += self.regulators[spec.name].configure(spec, now_s)
            else:
                self.regulators[spec.name] = Regulator(spec, self.sticks, self.dispatcher)
        actions += self.sticks.configure(pools, now_s)
        if graphs != self.sticks.graphs:
            self.slowdowns.forget(now_s)
            actions += self.sticks.change_graphs(graphs, now_s)
        for regulator in self.regulators.values():
            actions += regulator.regulate(now_s)
        return actions
