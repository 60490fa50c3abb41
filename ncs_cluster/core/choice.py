"""Which stick takes the next unit of a lane, and when: the idle stick that rests longest, a busy one shortly before it needs its
next request, or a spare one.

A spare stick, which stands for other hosts, gets a frame of a live lane that no other stick will take before the lane's next frame
replaces it; no frame is retried there. A paced stick waits a little for the next frame of the live lane whose turn it is; one at
full speed would lose work by that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from ncs_cluster.core.lane import Lane
from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.work import Unit
from ncs_cluster.types import StickId

MOST_MISSED = 3
"""No stick waits for a lane that has missed so many turns."""


class Choice:
    """The sticks that can take work, and what the lanes may have of them. The dispatcher fills `queues`, `spares` and `lanes`."""

    def __init__(self) -> None:
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.queues: dict[StickId, StickQueue] = {}
        self.spares: dict[StickId, StickQueue] = {}
        """Queues of spare sticks, which are not among `queues`."""
        self.permits: dict[str, int] = {}
        """By pool: how many of its sticks may work at once; 0: all."""
        self.deadline_s: float | None = None
        """When a stick may be ready although no event happens; None: only after an event."""
        self.served = 0.0
        """Virtual time of the sticks that have shares."""
        self.any_live = False
        self._differ = False
        """A stick has not loaded the graph of some lane. Where it has, no frame costs a look at each stick's graphs."""
        self._kept: set[StickId] = set()
        """Sticks for whose next request a frame is kept back from spare ones."""
        self._reserved: StickId | None = None
        """This stick gets no second request, so that it becomes idle for a unit that is retried isolated."""

    def changed(self) -> None:
        """A stick or a lane came or went."""
        graphs = {graph for _, graph in self.lanes}
        self._differ = any(not queue.runs(graph) for queue in self.queues.values() for graph in graphs)
        self.any_live = any(not lane.ordered for lane in self.lanes.values())

    def begin(self) -> None:
        """A round of choices begins: what the last one kept back is free again."""
        self.deadline_s = None
        self._kept.clear()
        self._reserved = self._reserved_for_retry()

    def queue_for(self, lane: Lane, now_s: float) -> StickQueue | None:
        """The queue that takes the lane's next unit now; None: no stick does, or one waits for another lane."""
        if lane.held:
            return None
        queue = self._own(lane.pending[0], lane, now_s) or self._spare(lane, now_s)
        return None if queue is None or self._keeps_for_another(queue, lane, now_s) else queue

    def at_work(self, pool: str) -> int:
        """How many sticks of the pool have a request in flight."""
        return sum(1 for queue in self.queues.values() if queue.in_flight and queue.pool == pool)

    def _may_begin(self, pool: str) -> bool:
        permits = self.permits.get(pool, 0)
        return not permits or self.at_work(pool) < permits

    def _with(self, graph: int) -> Collection[StickQueue]:
        """The queues of sticks that have loaded a graph."""
        return [queue for queue in self.queues.values() if queue.runs(graph)] if self._differ else self.queues.values()

    def _own(self, unit: Unit, lane: Lane, now_s: float) -> StickQueue | None:
        """As queue_for, without spare sticks: the one idle longest, else a busy one that is ready for one more request."""
        # one pass: this looks at every stick for every frame
        avoided = unit.tried if unit.tried and self._has_alternative(unit) else ()
        free: dict[str, bool] = {}
        best: StickQueue | None = None
        for queue in self._with(unit.graph):
            if queue.in_flight or queue.duty <= 0.0 or queue.stick in avoided:
                continue
            # a stick that its firmware throttles is the last choice
            if best is not None and (queue.throttled, queue.last_sent_s) >= (best.throttled, best.last_sent_s):
                continue
            if queue.pool not in free:
                free[queue.pool] = self._may_begin(queue.pool)
            if free[queue.pool] and (queue.duty >= 1.0 or not self._paced(queue, now_s)):
                best = queue
        if best is not None:
            return best if best.share is None or best.throttled else self._by_share(best, unit.graph, avoided, now_s)
        return None if unit.tried else self._busy_queue(unit.graph, now_s, full=lane.ordered and not self.any_live)

    def _spare(self, lane: Lane, now_s: float) -> StickQueue | None:
        """The spare stick that takes the lane's next unit now, which no other stick does."""
        if not self.spares or lane.ordered or lane.pending[0].tried or self._is_kept(lane, now_s):
            return None
        for queue in self.spares.values():
            if queue.duty <= 0.0 or len(queue.in_flight) >= queue.max_in_flight or not queue.runs(lane.graph):
                continue
            due_s = max(queue.paused_until_s, queue.last_sent_s + queue.gap_s)
            if due_s <= now_s:
                lane.note_kept(taken=False)
                lane.keep(kept=False)
                return queue
            self._wake_at(due_s)
        return None

    def _is_kept(self, lane: Lane, now_s: float) -> bool:
        """A stick is free before the lane's next frame comes, and no other lane's frame is kept for it."""
        until_s = lane.kept_until_s
        for queue in self.queues.values():
            if queue.stick in self._kept or queue.duty <= 0.0 or not queue.runs(lane.graph):
                continue
            if queue.next_s(now_s) <= until_s:
                self._kept.add(queue.stick)
                lane.keep(kept=True)
                # a stick that is not free by then leaves the frame to a spare one, before the next frame replaces it
                self._wake_at(math.nextafter(until_s, math.inf))
                return True
        return False

    def _keeps_for_another(self, queue: StickQueue, lane: Lane, now_s: float) -> bool:
        """A paced stick waits for the next frame of a live lane whose turn it is, as long as it loses no work by that. Else the
        sticks, which are free at about the same time, would take a frame of each lane whatever its weight."""
        if queue.duty >= 1.0 or queue.in_flight or lane.pending[0].tried:
            return False
        behind = [
            other
            for other in self.lanes.values()
            if not (other.ordered or other.pending or other.held or other.stream == lane.stream)
            and queue.runs(other.graph)
            and other.missed < MOST_MISSED
            and other.virtual_s < lane.virtual_s
        ]
        if not behind:
            return False
        if (full_s := queue.full_s(now_s)) > now_s:
            self._wake_at(full_s)
            return True
        for other in behind:
            other.missed += 1
        return False

    def _by_share(self, best: StickQueue, graph: int, avoided: Sequence[StickId], now_s: float) -> StickQueue:
        """`best` is idle longest; the stick of its pool that has had least for its share."""
        turn = max(self.served, best.served)
        for queue in self._with(graph):
            if queue.pool != best.pool or queue.in_flight or queue.duty <= 0.0 or queue.throttled or queue.stick in avoided:
                continue
            if max(self.served, queue.served) < turn and (queue.duty >= 1.0 or not self._paced(queue, now_s)):
                best, turn = queue, max(self.served, queue.served)
        return best

    def _busy_queue(self, graph: int, now_s: float, *, full: bool) -> StickQueue | None:
        """The busy stick that takes one more request now; None: no stick does. `full`: every stick is filled to its max_in_flight.
        Else a stick takes its next request shortly before it needs it, and `assign` is woken for the first stick that will."""
        ready: list[StickQueue] = []
        next_s = math.inf
        for queue in self._with(graph):
            if queue.in_flight and queue.duty >= 1.0 and not queue.isolated and queue.stick != self._reserved:
                if (len(queue.in_flight) < queue.max_in_flight) if full else queue.ready_s <= now_s:
                    ready.append(queue)
                elif queue.ready_s < next_s:
                    next_s = queue.ready_s
        if ready:
            return min(ready, key=lambda queue: (len(queue.in_flight) - queue.executors, queue.last_sent_s))
        if not full and next_s < math.inf:
            self._wake_at(next_s)
        return None

    def _reserved_for_retry(self) -> StickId | None:
        """The busy stick that will be idle first, if a retried unit waits for an idle stick."""
        for lane in self.lanes.values():
            if lane.pending and lane.pending[0].tried and not lane.held:
                break
        else:
            return None
        busy = [queue for queue in self._with(lane.graph) if queue.in_flight and queue.duty > 0.0]
        return min(busy, key=lambda queue: (len(queue.in_flight), queue.expected_end_s())).stick if busy else None

    def _paced(self, queue: StickQueue, now_s: float) -> bool:
        """A stick with duty d has to rest first: it works d of the time."""
        turn_s = queue.turn_s(now_s)
        if turn_s > now_s:
            self._wake_at(turn_s)
        return turn_s > now_s

    def _has_alternative(self, unit: Unit) -> bool:
        return any(queue.duty > 0.0 and queue.stick not in unit.tried for queue in self._with(unit.graph))

    def _wake_at(self, when_s: float) -> None:
        if self.deadline_s is None or when_s < self.deadline_s:
            self.deadline_s = when_s
