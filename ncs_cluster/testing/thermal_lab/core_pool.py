"""One pool of the real core on a virtual clock: Regulator, Zones, duties and permits, without processes and without frames.

The sticks always have a frame to work on: a stick works for its duty's share of the time, and where the duties are more than the
sticks that may work at once, all are cut by the same factor. This is what the dispatcher does on average over a second.
"""

from __future__ import annotations

import functools

from ncs_cluster.backends import SIMULATED
from ncs_cluster.core.child import Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import Tally
from ncs_cluster.messages import StickOpened, Telemetry
from ncs_cluster.specs import ClusterSpec, GraphSpec, PoolSpec, StickSpec
from ncs_cluster.types import GraphName, StickId


class CorePool:
    """Sticks are numbered from 0; they are told and opened by `plug`."""

    def __init__(self, clusters: ClusterSpec, *, shadowed: bool = False) -> None:
        """`shadowed`: see Regulator."""
        self._spec = PoolSpec(clusters)
        self._dispatcher = Dispatcher(Tally())
        self._sticks = Sticks([self._spec], [GraphSpec(GraphName("any"), "any.xml", "ssd")], self._dispatcher, Limits())
        self.regulator = Regulator(self._spec, self._sticks, self._dispatcher, shadowed=shadowed)

    def plug(self, number: int, now_s: float) -> None:
        """The stick is found, and open at once."""
        self._sticks.found(StickSpec(stick_id(number), "port", SIMULATED, simulated=True), now_s)
        stick = self._sticks.by_id[stick_id(number)]
        self._sticks.hello(stick, now_s)
        self._sticks.opened(stick, StickOpened("a stick of the laboratory", True, 2), now_s)

    def measured(self, number: int, value_c: float, level: int, now_s: float) -> None:
        """A reading and the throttle level of a stick arrive."""
        stick = stick_id(number)
        self._sticks.by_id[stick].record_telemetry(Telemetry(value_c, level), now_s, 0.0)
        self._dispatcher.queues[stick].throttle(level)

    def regulate(self, now_s: float) -> None:
        self.regulator.regulate(now_s)

    @property
    def due_s(self) -> float:
        """When `regulate` is due next although nothing happens."""
        deadline_s = self.regulator.deadline_s
        return float("inf") if deadline_s is None else deadline_s

    @property
    def switches(self) -> int:
        return self.regulator.switches

    def work(self, count: int) -> list[float]:
        """The share of its time in which each of `count` sticks works now."""
        queues = self._dispatcher.queues
        found = [queues.get(stick_id(number)) for number in range(count)]
        duties = [0.0 if queue is None else queue.duty for queue in found]
        permits, wanted = self._dispatcher.permits.get(self._spec.name, 0), sum(duties)
        return [duty * permits / wanted for duty in duties] if permits and wanted > permits else duties

    def worked(self, number: int, for_s: float) -> None:
        """The stick has worked for so long since the last call."""
        queue = self._dispatcher.queues.get(stick_id(number))
        if queue is None:
            return
        queue.begin(0.0)
        queue.end(for_s)


@functools.cache
def stick_id(number: int) -> StickId:
    return StickId(f"lab-{number + 1}")
