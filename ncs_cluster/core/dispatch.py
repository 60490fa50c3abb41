"""Which unit goes to which stick, and when. Never more than the permitted number of sticks at work; nothing lost.

A lane is one graph of one stream. A live lane holds its newest frame only. It hands the frame over just before a stick needs it,
so that the frame is fresh: a busy stick gets one more request shortly before an executor of it is expected to be free (expected end
minus lead). An ordered lane is a queue and fills a stick to its max_in_flight; beside live lanes its frames are handed over like
theirs, or it would always be there first. Lanes with work take turns by weight (virtual time, as in fair queueing).

A unit whose stick died goes back to the head of its lane. It is retried alone on a stick, so that the next death has one possible
cause; after MOST_TRIES deaths it is given up. A live unit gives way to a newer frame instead.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.work import DROPPED, Ledger, Unit
from ncs_cluster.types import StickId

MOST_TRIES = 3


class Lane:
    """One graph of one stream."""

    def __init__(self, stream: str, graph: int, weight: float, *, ordered: bool) -> None:
        self.stream = stream
        self.graph = graph
        self.cost = 1.0 / weight
        self.ordered = ordered
        self.held = False
        """A sink of its stream cannot take more for now."""
        self.virtual_s = 0.0
        self.pending: deque[Unit] = deque()


class Dispatcher:
    """All lanes, and a queue for each stick that can take work."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.queues: dict[StickId, StickQueue] = {}
        self.permits: dict[str, int] = {}
        """By pool: how many of its sticks may be at work at once; 0: all."""
        self.deadline_s: float | None = None
        """When `assign` should be called again although nothing has happened."""
        self._tickets = 0
        self._virtual_s = 0.0
        self._any_live = False
        self._unchanged = False
        """`assign` found nothing to do, and nothing has changed since."""
        self._kept_free: StickId | None = None
        """Gets no second request, so that a retried unit, which travels alone, finds an idle stick."""

    # -- streams and sticks come and go

    def open_lanes(self, stream: str, graphs: Sequence[int], weight: float, *, ordered: bool) -> None:
        """A lane for each graph; the stream's weight is divided among them."""
        for graph in graphs:
            self.lanes[stream, graph] = Lane(stream, graph, weight / len(graphs), ordered=ordered)
        self._lanes_changed()

    def close_lanes(self, stream: str) -> list[Unit]:
        """The stream ends. Returns the units that wait in its lanes; those on sticks are marked as closed and come back later."""
        for queue in self.queues.values():
            for unit in queue.in_flight.values():
                unit.closed = unit.closed or unit.stream == stream
        waiting: list[Unit] = []
        for key in [key for key in self.lanes if key[0] == stream]:
            waiting += self.lanes.pop(key).pending
        self._lanes_changed()
        return waiting

    def set_weight(self, stream: str, weight: float) -> None:
        lanes = [lane for lane in self.lanes.values() if lane.stream == stream]
        for lane in lanes:
            lane.cost = len(lanes) / weight

    def attach(
        self, stick: StickId, max_in_flight: int, *, pool: str = "default", can_reset: bool = False, executors: int = 1
    ) -> StickQueue:
        """The stick can take work. What was known of its speed starts anew. `can_reset`: its worker can reset it."""
        self.queues[stick] = StickQueue(stick, max_in_flight, pool=pool, can_reset=can_reset, executors=executors)
        self._unchanged = False
        return self.queues[stick]

    def detach(self, stick: StickId) -> list[Unit]:
        """The stick is gone: its units go back to their lanes. Returns those that are given up."""
        queue = self.queues.pop(stick, None)
        if queue is None:
            return []
        self._unchanged = False
        given_up = []
        for unit in reversed(queue.in_flight.values()):
            unit.tried.append(stick)
            unit.stick, unit.ticket = None, -1
            lane = self.lanes.get((unit.stream, unit.graph))
            if lane is None or unit.closed or (not lane.ordered and lane.pending):
                self.ledger.end(unit, DROPPED)
            elif len(unit.tried) >= MOST_TRIES:
                given_up.append(unit)
            else:
                self._wake(lane)
                lane.pending.appendleft(unit)
        return given_up

    def not_at_fault(self, stick: StickId) -> bool:
        """What the stick has in hand has already cost another one its life."""
        queue = self.queues.get(stick)
        return queue is not None and queue.isolated

    def set_duties(self, duties: Mapping[StickId, float]) -> None:
        """The duty of each of these sticks; others keep theirs."""
        for stick, duty in duties.items():
            queue = self.queues.get(stick)
            if queue is not None and duty != queue.duty:
                queue.duty, self._unchanged = duty, False

    def permit(self, pool: str, sticks: int) -> None:
        """How many sticks of the pool may be at work at once; 0: all."""
        if sticks != self.permits.get(pool):
            self.permits[pool], self._unchanged = sticks, False

    def hold(self, stream: str, *, held: bool) -> None:
        """The stream's lanes wait: a sink of it cannot take more for now."""
        for lane in self.lanes.values():
            if lane.stream == stream and lane.held != held:
                lane.held, self._unchanged = held, False
                if not held:
                    # the time it waited gives it no turns
                    lane.virtual_s = max(lane.virtual_s, self._virtual_s)

    # -- work comes, goes out, comes back

    def offer(self, unit: Unit) -> None:
        """New work. In a live lane an older frame makes room for it."""
        lane = self.lanes[unit.stream, unit.graph]
        self.ledger.begin(unit)
        replaced = False
        if not lane.ordered:
            while lane.pending:
                older = lane.pending.popleft()
                replaced = not older.tried
                self.ledger.end(older, DROPPED)
        # a newer frame in the place of an older one finds the sticks as that one found them
        self._unchanged = self._unchanged and replaced
        self._wake(lane)
        lane.pending.append(unit)

    def assign(self, now_s: float) -> list[Unit]:
        """Hand over whatever can be handed over now; each unit says which stick gets it, and its ticket."""
        if self._unchanged and (self.deadline_s is None or now_s < self.deadline_s):
            return []
        self._unchanged = True
        handed: list[Unit] = []
        self.deadline_s = None
        self._kept_free = self._for_a_retry()
        ready = sorted((lane for lane in self.lanes.values() if lane.pending), key=lambda lane: lane.virtual_s)
        while ready:
            lane = ready[0]
            queue = None if lane.held else self._queue_for(lane.pending[0], lane, now_s)
            if queue is None:
                ready.pop(0)
                continue
            unit = lane.pending.popleft()
            self._tickets += 1
            unit.ticket, unit.stick, unit.sent_s = self._tickets, queue.stick, now_s
            queue.in_flight[unit.ticket] = unit
            queue.last_sent_s = now_s
            queue.recompute()
            handed.append(unit)
            self._virtual_s = lane.virtual_s
            lane.virtual_s += lane.cost
            ready = sorted((lane for lane in ready if lane.pending), key=lambda lane: lane.virtual_s)
        return handed

    def answered(self, stick: StickId, ticket: int, latency_s: float, now_s: float) -> Unit | None:
        """A stick's answer. None when nobody waits for it: it is dropped."""
        queue = self.queues.get(stick)
        unit = queue.in_flight.pop(ticket, None) if queue else None
        if queue is None or unit is None:
            return None
        seen_s = now_s - max(unit.sent_s, queue.last_done_s)
        # the worker's own clock does not stand still when the supervisor does; or its patience would grow to minutes
        queue.record(unit.graph, min(seen_s, latency_s) if latency_s > 0.0 else seen_s)
        queue.latency.add(latency_s)
        queue.last_done_s = now_s
        queue.done.count(now_s)
        queue.recompute()
        self._unchanged = False
        unit.stick = stick
        return unit

    def overdue(self, now_s: float) -> list[StickId]:
        """Sticks that should have answered long ago."""
        return [
            queue.stick
            for queue in self.queues.values()
            if queue.in_flight and now_s - max(next(iter(queue.in_flight.values())).sent_s, queue.last_done_s) > queue.patience_s()
        ]

    def drain(self) -> list[Unit]:
        """The daemon stops: units that wait are taken out and returned. Those of an ordered stream that have been on a stick stay:
        finished frames wait for them."""
        left: list[Unit] = []
        for lane in self.lanes.values():
            under_way = [unit for unit in lane.pending if lane.ordered and unit.tried]
            left += [unit for unit in lane.pending if unit not in under_way]
            lane.pending = deque(under_way)
        return left

    def abandon(self) -> None:
        """Nothing is waited for any more: answers that still come are dropped."""
        for queue in self.queues.values():
            queue.in_flight.clear()
            queue.recompute()
        for lane in self.lanes.values():
            lane.pending.clear()
        self._unchanged = False

    def extend_deadlines(self, now_s: float) -> None:
        """The supervisor itself was stopped for a while: nobody is late."""
        for queue in self.queues.values():
            queue.last_done_s = max(queue.last_done_s, now_s)
            queue.recompute()
        self._unchanged = False

    def at_work(self, pool: str) -> int:
        """Sticks of the pool with a request in hand."""
        return sum(1 for queue in self.queues.values() if queue.in_flight and queue.pool == pool)

    def _may_begin(self, pool: str) -> bool:
        permits = self.permits.get(pool, 0)
        return not permits or self.at_work(pool) < permits

    def _lanes_changed(self) -> None:
        self._any_live = any(not lane.ordered for lane in self.lanes.values())
        self._unchanged = False

    def waiting(self, stream: str | None = None) -> int:
        return sum(len(lane.pending) for lane in self.lanes.values() if stream in (None, lane.stream))

    # -- choosing

    def _queue_for(self, unit: Unit, lane: Lane, now_s: float) -> StickQueue | None:
        """The stick that takes this unit now: the idle one that has rested longest, else a busy one that ends its request soon."""
        queues = [queue for queue in self.queues.values() if queue.duty > 0.0]
        if unit.tried and self._other_choice(unit):
            queues = [queue for queue in queues if queue.stick not in unit.tried]
        idle = [queue for queue in queues if not queue.in_flight and not self._too_soon(queue, now_s)]
        if idle and self.permits:
            free = {pool: self._may_begin(pool) for pool in {queue.pool for queue in idle}}
            idle = [queue for queue in idle if free[queue.pool]]
        if idle:
            # one that its firmware slows down only where no other is free
            return min(idle, key=lambda queue: (queue.throttled, queue.last_sent_s))
        if unit.tried:
            return None
        busy = [queue for queue in queues if queue.in_flight and queue.duty >= 1.0 and not queue.isolated]
        busy = [queue for queue in busy if queue.stick != self._kept_free]
        if lane.ordered and not self._any_live:
            ready = [queue for queue in busy if len(queue.in_flight) < queue.max_in_flight]
        else:
            ready = [queue for queue in busy if queue.ready_s <= now_s]
            next_s = min((queue.ready_s for queue in busy), default=math.inf) if not ready else math.inf
            if next_s < math.inf:
                self._wake_at(next_s)
        return min(ready, key=lambda queue: (len(queue.in_flight) - queue.executors, queue.last_sent_s), default=None)

    def _for_a_retry(self) -> StickId | None:
        """The busy stick that will be idle first, when the head of a lane waits for an idle one."""
        waits = any(lane.pending and lane.pending[0].tried and not lane.held for lane in self.lanes.values())
        busy = [queue for queue in self.queues.values() if queue.in_flight and queue.duty > 0.0] if waits else []
        return min(busy, key=lambda queue: (len(queue.in_flight), queue.expected_end_s())).stick if busy else None

    def _too_soon(self, queue: StickQueue, now_s: float) -> bool:
        """A stick at rate r rests (1 - r) / r of the time it worked."""
        if queue.duty >= 1.0 or queue.service.mean_s is None:
            return False
        turn_s = queue.last_sent_s + queue.service.mean_s / queue.duty
        if turn_s > now_s:
            self._wake_at(turn_s)
        return turn_s > now_s

    def _other_choice(self, unit: Unit) -> bool:
        return any(queue.duty > 0.0 and queue.stick not in unit.tried for queue in self.queues.values())

    def _wake_at(self, when_s: float) -> None:
        if self.deadline_s is None or when_s < self.deadline_s:
            self.deadline_s = when_s

    def _wake(self, lane: Lane) -> None:
        """A lane that was empty does not save up its turns."""
        if not lane.pending:
            lane.virtual_s = max(lane.virtual_s, self._virtual_s)
