"""A stick's dispatch state: its requests in flight, its service time, when it takes the next request, when it counts as hung."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ncs_cluster.core.rates import Latency, Rate, Service
from ncs_cluster.core.work import Unit
from ncs_cluster.types import StickId

LEAST_LEAD_S = 0.003
"""Covers the way of a request through two processes and the 1 ms resolution of the supervisor's timer."""
VARYING_LEAD = 1.3
"""The lead of a stick with one executor is LEAST_LEAD_S less so many mean changes of its service time: a frame that waits there
grows old, and another stick may be free earlier (decision 0055)."""
SHORT_SERVICE_S = 0.006
"""Below this service time a 1 ms timer is too coarse to send just in time: the stick always has one request more than executors."""
UNKNOWN_PATIENCE_S = 10.0
LEAST_PATIENCE_S = 1.5
THROTTLED_PATIENCE_S = 15.0
"""A stick at throttle level 2 sleeps 10 s between inferences and is not hung."""
LEAST_LAG_S = 1.0
"""No stick lags before: shorter than this are pauses of a busy host."""

BURST = 2.0
"""A paced stick that had no frame when its turn came may catch up with so many inferences."""


class StickQueue:
    """The queue of one open stick."""

    def __init__(
        self,
        stick: StickId,
        max_in_flight: int,
        *,
        pool: str = "default",
        can_reset: bool = False,
        executors: int = 1,
        graphs: Mapping[int, int] | None = None,
    ) -> None:
        """`graphs`: the graphs that its worker has loaded, each with its index there; None: all, in their order."""
        self.stick = stick
        self.pool = pool
        self.capacity = self.max_in_flight = max(1, max_in_flight)
        """Requests that the device takes; those it may have, see `limit`."""
        self._executors = self.executors = min(self.capacity, max(1, executors))
        """Requests it executes at once; one more may wait for a free executor."""
        self.graphs = graphs
        self.can_reset = can_reset
        self.reset_s: float | None = None
        """When ResetStick was sent to its worker."""
        self.duty = 0.0
        """Share of the time it may work, 0..1. 0: it rests; below 1: it is paced."""
        self.share: float | None = None
        """The stick's part of the work when there is less than the duties allow; None: sticks take turns by idle time."""
        self.served = 0.0
        """Work done for its share, in the virtual time of the dispatcher."""
        self.in_flight: dict[int, Unit] = {}
        self.service = Service()
        self.inference = Service()
        """Of one inference by the worker's clock: with several executors an answer comes more often than that."""
        self.latency = Latency()
        self.done = Rate()
        self.last_done_s = 0.0
        self.last_sent_s = 0.0
        self._credit_s, self._credited_s, self._paid_s = 0.0, 0.0, 0.0
        """Token bucket of a paced stick: seconds it may work, when they were counted last, what its present inference has cost."""
        self._worked_s = 0.0
        self._began_s: float | None = None
        """Since when it works without a break; None: it does not work."""
        self.worked_read_s: float | None = None
        """For how long it had worked when its newest reading was taken; None: no reading yet."""
        self.gap_s = 0.0
        """Of a spare stick: least time between two units; and when it may get the next one after a pause."""
        self.paused_until_s = 0.0
        self.throttled = False
        self._slept = False
        """Its firmware throttled it at some time since its last answer."""
        self._by_graph: dict[int, Service] = {}
        self.ready_s = 0.0
        """When it may get one more request of a live lane while it is busy: at once while an executor is free, else about when one
        is expected to be free, see lead_s; infinite while a request already waits."""
        self.isolated = False
        """It holds a retried unit and gets no second request."""

    @property
    def device_executors(self) -> int:
        """Requests the device executes at once, also where it may have fewer in flight."""
        return self._executors

    @property
    def full_rate(self) -> float | None:
        """Inferences per second at full work; None before it has answered one."""
        return self.executors / self.inference.mean_s if self.inference.mean_s else None

    def runs(self, graph: int) -> bool:
        """Its worker has loaded this graph."""
        return self.graphs is None or graph in self.graphs

    def index_of(self, graph: int) -> int:
        """The index of a graph at its worker. Raises KeyError for one that is not loaded."""
        return graph if self.graphs is None else self.graphs[graph]

    def begin(self, now_s: float) -> None:
        """It works from now on, unless it does already."""
        if self._began_s is None:
            self._began_s = now_s

    def end(self, now_s: float) -> None:
        """It has nothing to do any more."""
        if self._began_s is not None:
            self._worked_s += max(0.0, now_s - self._began_s)
            self._began_s = None

    def worked_s(self, now_s: float) -> float:
        """For how long it has had a request in flight since it was opened, seconds."""
        return self._worked_s + (0.0 if self._began_s is None else max(0.0, now_s - self._began_s))

    def note_reading(self, read_s: float) -> None:
        """Its temperature was read then: the pool may be regulated later, and a die warms by half a kelvin in a second of work."""
        self.worked_read_s = self.worked_s(read_s)

    def turn_s(self, now_s: float) -> float:
        """When it may begin an inference, `now_s` or later: it gains `duty` seconds of work in a second, and an inference costs
        the time it takes."""
        mean_s = self.service.mean_s
        if self.duty >= 1.0 or mean_s is None:
            return now_s
        gained_s = self.duty * (now_s - self._credited_s)
        self._credit_s, self._credited_s = min(BURST * mean_s, self._credit_s + gained_s), now_s
        return now_s + max(0.0, mean_s - self._credit_s - 1e-9) / self.duty

    def full_s(self, now_s: float) -> float:
        """How long a paced stick may wait without losing work: from then on it gains no more. Call `turn_s` before."""
        mean_s = self.service.mean_s
        if self.duty >= 1.0 or mean_s is None:
            return now_s
        return now_s + max(0.0, BURST * mean_s - self._credit_s - 1e-9) / self.duty

    def pay(self) -> None:
        """It begins an inference. Its price is known when it ends."""
        if self.duty < 1.0:
            self._paid_s = self.service.mean_s or 0.0
            self._credit_s -= self._paid_s

    def serve(self, virtual: float) -> float:
        """It begins an inference: the virtual time at which its turn was, `virtual` or later. It saves up no turns while it is busy
        or has none (start-time fair queueing)."""
        began = max(virtual, self.served)
        if self.share is not None:
            self.served = began + (self.service.mean_s or 0.0) / self.share
        return began

    def settle(self, took_s: float) -> None:
        """The inference that was paid for has taken so long."""
        if self._paid_s:
            self._credit_s += self._paid_s - took_s
            self._paid_s = 0.0

    def limit(self, requests: int) -> None:
        """It may have so many requests in flight, at most as many as the device takes."""
        self.max_in_flight = max(1, min(requests, self.capacity))
        self.executors = min(self.max_in_flight, self._executors)
        self.recompute()

    def recompute(self) -> None:
        """Call after each change of the requests in flight: `isolated` and `ready_s` are read for every stick at every frame."""
        self.isolated = self.holds_retry()
        self.ready_s = self._ready_s()

    def _ready_s(self) -> float:
        held, mean_s = len(self.in_flight), self.service.mean_s
        if held >= self.max_in_flight or held > self.executors:
            return math.inf
        if held < self.executors:
            return 0.0
        if mean_s is None:
            return math.inf
        return 0.0 if mean_s < SHORT_SERVICE_S else self.expected_end_s() - self.lead_s()

    def next_s(self, now_s: float) -> float:
        """About when it takes its next request, `now_s` or later; infinite where that is not known."""
        mean_s = self.service.mean_s
        if mean_s is None or self.isolated:
            return math.inf
        if self.duty < 1.0:
            return max(now_s, self.last_sent_s + mean_s / self.duty) if self.duty > 0.0 else math.inf
        if self.ready_s < math.inf or not self.in_flight:
            return max(now_s, self.ready_s)
        # one more than it executes waits inside it: a place is free when that one begins, and needed when it ends
        return max(now_s, self.expected_end_s() + mean_s - self.lead_s())

    def expected_end_s(self) -> float:
        """When the oldest request is expected to be answered."""
        begun_s = max(next(iter(self.in_flight.values())).sent_s, self.last_done_s)
        return begun_s + (self.service.mean_s or 0.0)

    def lead_s(self) -> float:
        """How long before the expected end of a request the next one is sent; negative: after it, where the times of a stick vary.
        On a CPU with several executors the way of a request is long, and the longer the more its times vary."""
        service = self.service
        added_s = 2 * service.deviation_s if self.executors > 1 else -VARYING_LEAD * service.change_s
        return min(service.mean_s or 0.0, LEAST_LEAD_S + added_s)

    def throttle(self, level: int) -> None:
        """The firmware's throttle level. A request that the firmware delays stays delayed when the level returns to 0."""
        self.throttled = level > 0
        self._slept = self._slept or self.throttled

    def record(self, graph: int, took_s: float) -> None:
        """Record the service time of an answered request."""
        self.service.add(took_s)
        self._by_graph.setdefault(graph, Service()).add(took_s)
        self._slept = self.throttled

    def patience_s(self) -> float:
        """How long the oldest request may take before the stick counts as hung. Service times are kept by graph. A worker that can
        reset its stick tells a hang itself, and may hold answers until all that the stick holds are there."""
        if self._slept:
            return THROTTLED_PATIENCE_S
        unit = next(iter(self.in_flight.values()), None)
        service = self.service if unit is None else self._by_graph.get(unit.graph, Service())
        if service.mean_s is None:
            return UNKNOWN_PATIENCE_S
        services = max(5, 2 * self.max_in_flight + 2) if self.can_reset else 5
        return max(LEAST_PATIENCE_S, services * (service.mean_s + 4 * service.deviation_s))

    def is_lagging(self, now_s: float) -> bool:
        """Its oldest request takes twice as long as usual, at least LEAST_LAG_S: another device should take the next frames,
        though the stick does not count as hung yet."""
        unit = next(iter(self.in_flight.values()), None)
        if unit is None:
            return False
        took_s, service = now_s - max(unit.sent_s, self.last_done_s), self._by_graph.get(unit.graph)
        if took_s <= LEAST_LAG_S or service is None or service.mean_s is None:
            return took_s > LEAST_LAG_S
        services = max(2, self.max_in_flight) if self.can_reset else 2
        return took_s > services * (service.mean_s + 4 * service.deviation_s)

    def holds_retry(self) -> bool:
        return any(unit.tried for unit in self.in_flight.values())
