"""The sticks sim-1, sim-2, ... of one pool and what is shared by their workers, found at 0 s: for tests of exact actions."""

from __future__ import annotations

from ncs_cluster.core.child import Limits
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.stick import Stick
from ncs_cluster.core.sticks import Sticks
from ncs_cluster.core.work import Tally
from ncs_cluster.messages import StickOpened
from ncs_cluster.specs import ClusterSpec, DiscoverySpec, GraphSpec, PoolSpec, StickSpec
from ncs_cluster.types import GraphName, StickId

GRAPH = GraphSpec(GraphName("demo"), "demo.xml", "ssd")


def stick_id(number: int) -> StickId:
    return StickId(f"sim-{number}")


def worker(number: int) -> Endpoint:
    return Endpoint("worker", f"sim-{number}")


def spec(
    number: int, *, port: str = "port", exclusive_boot: bool = False, pool: str = "default", runtime: str = "default"
) -> StickSpec:
    return StickSpec(stick_id(number), port, "simulated", {}, runtime, exclusive_boot=exclusive_boot, simulated=True, pool=pool)


def pool_of(*numbers: int, clusters: ClusterSpec | None = None, stagger_s: float | None = None, name: str = "default") -> PoolSpec:
    """A pool of counted sticks; with a stagger sticks are looked for too."""
    discovery = None if stagger_s is None else DiscoverySpec("simulated", stagger_s=stagger_s, pool=name)
    return PoolSpec(clusters or ClusterSpec(), [spec(number, pool=name) for number in numbers], discovery, name)


class SticksSetup:
    """One pool's sticks and the dispatcher."""

    def __init__(self, count: int = 1, *, clusters: ClusterSpec | None = None, stagger_s: float = 0.0) -> None:
        self.pool = pool_of(*range(1, count + 1), clusters=clusters, stagger_s=stagger_s)
        self.dispatcher = Dispatcher(Tally())
        self.sticks = Sticks([self.pool], [GRAPH], self.dispatcher, Limits())
        for number in range(1, count + 1):
            self.sticks.found(spec(number), 0.0)

    def __getitem__(self, number: int) -> Stick:
        return self.sticks.by_id[stick_id(number)]

    def open(self, *numbers: int, sensor: bool = False) -> None:
        """Their workers have opened them, at 1 s."""
        for number in numbers:
            self.sticks.hello(self[number], 1.0)
            self.sticks.opened(self[number], StickOpened("a device", sensor, 2), 1.0)

    @property
    def duties(self) -> dict[StickId, float]:
        return {stick: queue.duty for stick, queue in self.dispatcher.queues.items()}
