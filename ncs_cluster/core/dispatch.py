"""Which unit goes to which stick, and when. At most the permitted number of sticks work at once, and no unit is lost.

A lane is one graph of one stream. A live lane holds its newest frame only and sends it as late as possible, so that the frame is
fresh: a busy stick gets one more request about when one of its executors is expected to be free (expected end minus lead). An
ordered lane is a queue and fills a stick to its max_in_flight; beside live lanes it sends as late as they do, since otherwise it
would take every free executor first. Lanes with work take turns by weight (virtual time, as in fair queueing).

A unit whose stick failed returns to the head of its lane. It is retried isolated, as the only unit on its stick, so that the next
failure has one possible cause; after MOST_TRIES failures it is given up. A live unit is dropped for a newer frame instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

from ncs_cluster.core.choice import Choice
from ncs_cluster.core.lane import Lane
from ncs_cluster.core.stick_queue import StickQueue
from ncs_cluster.core.work import DROPPED, Tally, Unit
from ncs_cluster.types import StickId

MOST_TRIES = 3


_virtual_s = attrgetter("virtual_s")


class Dispatcher:
    """All lanes, and a queue for each stick that can take work."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.choice = choice = Choice()
        self.lanes, self.queues, self.spares, self.permits = choice.lanes, choice.queues, choice.spares, choice.permits
        """Shared with the choice."""
        self.able_changes = 0
        """How often a stick has become able to work, or unable: its queue came or went, or its duty became 0 or more than 0."""
        self._tickets = 0
        self._virtual_s = 0.0
        self._unchanged = False
        """`assign` found nothing to do, and nothing has changed since."""

    # -- opening and closing of streams and sticks

    def open_lanes(self, stream: str, graphs: Sequence[int], weight: float, *, ordered: bool) -> None:
        """A lane for each graph; the stream's weight is divided among them."""
        for graph in graphs:
            self.lanes[stream, graph] = Lane(stream, graph, weight / len(graphs), ordered=ordered)
        self.choice.changed()
        self._unchanged = False

    def close_lanes(self, stream: str, graphs: Sequence[int] | None = None) -> list[Unit]:
        """Close the lanes of a stream, or those of some of its graphs. Returns the units that waited in them; units in flight are
        marked as closed and answered later."""
        keys = [key for key in self.lanes if key[0] == stream and (graphs is None or key[1] in graphs)]
        for queue in self.all_queues():
            for unit in queue.in_flight.values():
                unit.closed = unit.closed or (unit.stream, unit.graph) in keys
        waiting: list[Unit] = []
        for key in keys:
            waiting += self.lanes.pop(key).pending
        self.choice.changed()
        self._unchanged = False
        return waiting

    def set_weight(self, stream: str, weight: float) -> None:
        lanes = [lane for lane in self.lanes.values() if lane.stream == stream]
        for lane in lanes:
            lane.cost = len(lanes) / weight

    def attach(
        self,
        stick: StickId,
        max_in_flight: int,
        *,
        pool: str = "default",
        can_reset: bool = False,
        executors: int = 1,
        graphs: Mapping[int, int] | None = None,
        spare: bool = False,
    ) -> StickQueue:
        """The stick is open and can take work; its service time is unknown again. `can_reset`: its worker can reset it.
        `graphs`: as StickQueue.graphs. `spare`: it gets what no other stick can take."""
        queue = StickQueue(stick, max_in_flight, pool=pool, can_reset=can_reset, executors=executors, graphs=graphs)
        (self.spares if spare else self.queues)[stick] = queue
        self._unchanged = False
        self.able_changes += not spare
        self.choice.changed()
        return queue

    def queue_of(self, stick: StickId) -> StickQueue | None:
        """Of a stick that is open, spare or not."""
        return self.queues.get(stick) or self.spares.get(stick)

    def limit(self, stick: StickId, requests: int) -> None:
        """Limit the requests in flight of a stick."""
        queue = self.queue_of(stick)
        if queue is not None and requests != queue.max_in_flight:
            queue.limit(requests)
            self._unchanged = False

    def detach(self, stick: StickId) -> list[Unit]:
        """The stick is closed: its units return to their lanes. Returns the units that are given up."""
        if (spare := self.spares.pop(stick, None)) is not None:
            for unit in spare.in_flight.values():
                self.tally.end(unit, DROPPED)
            return []
        queue = self.queues.pop(stick, None)
        if queue is None:
            return []
        self._unchanged = False
        self.able_changes += 1
        self.choice.changed()
        given_up = []
        for unit in reversed(queue.in_flight.values()):
            unit.tried.append(stick)
            unit.stick, unit.ticket = None, -1
            lane = self.lanes.get((unit.stream, unit.graph))
            if lane is None or unit.closed or (not lane.ordered and lane.pending):
                self.tally.end(unit, DROPPED)
            elif len(unit.tried) >= MOST_TRIES:
                given_up.append(unit)
            else:
                self._wake(lane)
                lane.pending.appendleft(unit)
        return given_up

    def not_at_fault(self, stick: StickId) -> bool:
        """The stick holds a retried unit, with which another stick has failed before."""
        queue = self.queues.get(stick)
        return queue is not None and queue.isolated

    def set_duties(self, duties: Mapping[StickId, float]) -> None:
        """Set the duty of each of these sticks; other sticks keep theirs."""
        for stick, duty in duties.items():
            queue = self.queue_of(stick)
            if queue is not None and duty != queue.duty:
                self.able_changes += stick in self.queues and (duty > 0.0) != (queue.duty > 0.0)
                queue.duty, self._unchanged = duty, False

    def set_shares(self, shares: Mapping[StickId, float | None]) -> None:
        """Set the share of each of these sticks. None, or what is not above 0: none."""
        for stick, share in shares.items():
            queue = self.queues.get(stick)
            if queue is not None:
                queue.share = share if share is not None and share > 0.0 else None

    def permit(self, pool: str, sticks: int) -> None:
        """Set how many sticks of the pool may work at once; 0: all."""
        if sticks != self.permits.get(pool):
            self.permits[pool], self._unchanged = sticks, False

    def hold(self, stream: str, *, held: bool) -> None:
        """Hold or release the stream's lanes: a held lane sends nothing."""
        for lane in self.lanes.values():
            if lane.stream == stream and lane.held != held:
                lane.held, self._unchanged = held, False
                if not held:
                    # a lane saves up no turns while it is held
                    lane.virtual_s = max(lane.virtual_s, self._virtual_s)

    # -- units: offered, assigned, answered

    def offer(self, unit: Unit) -> None:
        """Add a unit to its lane. In a live lane it replaces an older frame."""
        lane = self.lanes[unit.stream, unit.graph]
        self.tally.begin(unit)
        replaced, lane.missed = False, 0
        lane.note_capture(unit.frame.captured_s)
        if not lane.ordered:
            while lane.pending:
                older = lane.pending.popleft()
                replaced = not older.tried
                lane.note_kept(taken=False)
                self.tally.end(older, DROPPED)
        # a unit that replaces another one changes nothing for `assign`, but that one may have been kept back from a spare stick
        self._unchanged = self._unchanged and replaced and not self.spares
        self._wake(lane)
        lane.pending.append(unit)

    def withdraw(self, unit: Unit) -> bool:
        """Remove a unit that waits in its lane. False: it is in flight; its answer is dropped."""
        lane = self.lanes.get((unit.stream, unit.graph))
        if lane is not None and unit in lane.pending:
            lane.pending.remove(unit)
            self._unchanged = False
            return True
        unit.closed = True
        return False

    def assign(self, now_s: float) -> list[Unit]:
        """The units to send now, each with its `stick` and `ticket` set."""
        if self._unchanged and (self.deadline_s is None or now_s < self.deadline_s):
            return []
        self._unchanged = True
        handed: list[Unit] = []
        self.choice.begin()
        ready = [lane for lane in self.lanes.values() if lane.pending]
        ready.sort(key=_virtual_s)
        passed: list[Lane] = []
        while ready:
            lane = ready[0]
            queue = self.choice.queue_for(lane, now_s)
            if queue is None:
                passed.append(ready.pop(0))
                continue
            for other in passed:
                # a lane saves up no turns at sticks that have not loaded its graph
                if not queue.runs(other.graph):
                    other.virtual_s = max(other.virtual_s, lane.virtual_s)
            unit = lane.pending.popleft()
            lane.note_kept(taken=True)
            self._tickets += 1
            unit.ticket, unit.stick, unit.sent_s = self._tickets, queue.stick, now_s
            unit.beside = tuple(sorted(other.graph for other in queue.in_flight.values())) if queue.in_flight else ()
            queue.in_flight[unit.ticket] = unit
            queue.last_sent_s = now_s
            queue.begin(now_s)
            queue.pay()
            self.choice.served = queue.serve(self.choice.served)
            queue.recompute()
            handed.append(unit)
            self._virtual_s = lane.virtual_s
            lane.virtual_s += lane.cost
            if not lane.pending:
                ready.pop(0)
            elif len(ready) > 1:
                ready.sort(key=_virtual_s)
        return handed

    def answered(self, stick: StickId, ticket: int, latency_s: float, now_s: float) -> Unit | None:
        """The unit that a stick has answered; None for an unknown ticket, whose answer is dropped. `latency_s` is the worker's
        figure."""
        queue = self.queue_of(stick)
        unit = queue.in_flight.pop(ticket, None) if queue else None
        if queue is None or unit is None:
            return None
        seen_s = now_s - max(unit.sent_s, queue.last_done_s)
        # a stall of the supervisor is not in the worker's latency; with the stall the patience would grow to minutes
        took_s = min(seen_s, latency_s) if latency_s > 0.0 else seen_s
        queue.record(unit.graph, took_s)
        queue.settle(took_s)
        queue.inference.add(latency_s if latency_s > 0.0 else took_s)
        queue.latency.add(latency_s)
        queue.last_done_s = now_s
        if not queue.in_flight:
            queue.end(now_s)
        queue.done.count(now_s)
        queue.recompute()
        self._unchanged = False
        unit.stick = stick
        return unit

    def missed(self, stick: StickId, ticket: int, now_s: float) -> Unit | None:
        """The unit to which a spare stick has no answer; None for an unknown ticket. It says nothing of the stick's times."""
        queue = self.spares.get(stick)
        unit = queue.in_flight.pop(ticket, None) if queue else None
        if queue is None or unit is None:
            return None
        queue.last_done_s = now_s
        if not queue.in_flight:
            queue.end(now_s)
        queue.recompute()
        self._unchanged = False
        return unit

    def pause(self, stick: StickId, until_s: float) -> None:
        """A spare stick gets nothing until then."""
        queue = self.spares.get(stick)
        if queue is not None:
            queue.paused_until_s = until_s

    def overdue(self, now_s: float) -> list[StickId]:
        """Sticks whose oldest request has taken longer than StickQueue.patience_s."""
        return [
            queue.stick
            for queue in self.all_queues()
            if queue.in_flight and now_s - max(next(iter(queue.in_flight.values())).sent_s, queue.last_done_s) > queue.patience_s()
        ]

    def drain(self) -> list[Unit]:
        """The daemon stops: units that wait are removed and returned. Retried units of ordered streams stay, since results of later
        frames wait for them."""
        left: list[Unit] = []
        for lane in self.lanes.values():
            under_way = [unit for unit in lane.pending if lane.ordered and unit.tried]
            left += [unit for unit in lane.pending if unit not in under_way]
            lane.pending = deque(under_way)
        return left

    def abandon(self) -> None:
        """Forget all units: later answers are dropped."""
        for queue in self.all_queues():
            queue.in_flight.clear()
            queue.recompute()
        for lane in self.lanes.values():
            lane.pending.clear()
        self._unchanged = False

    def extend_deadlines(self, now_s: float) -> None:
        """After a stall of the event loop: restart the waiting time of the requests in flight."""
        for queue in self.all_queues():
            queue.last_done_s = max(queue.last_done_s, now_s)
            queue.recompute()
        self._unchanged = False

    @property
    def deadline_s(self) -> float | None:
        """When `assign` is due although no event happens; None: only after an event."""
        return self.choice.deadline_s

    def forget_deadline(self) -> None:
        self.choice.deadline_s = None

    def at_work(self, pool: str) -> int:
        """How many sticks of the pool have a request in flight."""
        return self.choice.at_work(pool)

    def all_queues(self) -> Iterator[StickQueue]:
        yield from self.queues.values()
        yield from self.spares.values()

    def longest_usual_s(self) -> float:
        """While spare sticks get frames: the longest time that a stick with requests in flight usually takes for one. Else 0."""
        if not any(queue.duty > 0.0 for queue in self.spares.values()):
            return 0.0
        busy = [queue.inference for queue in self.all_queues() if queue.in_flight and queue.inference.mean_s]
        return max([(each.mean_s or 0.0) + 2 * each.deviation_s for each in busy], default=0.0)

    def waiting(self, stream: str | None = None) -> int:
        return sum(len(lane.pending) for lane in self.lanes.values() if stream in (None, lane.stream))

    def _wake(self, lane: Lane) -> None:
        """A lane saves up no turns while it is empty."""
        if not lane.pending:
            lane.virtual_s = max(lane.virtual_s, self._virtual_s)
