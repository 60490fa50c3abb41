"""A regulator with its sticks and its dispatcher: for tests of exact duties."""

from __future__ import annotations

from ncs_cluster.core.actions import Action
from ncs_cluster.core.regulator import Regulator
from ncs_cluster.messages import Telemetry
from ncs_cluster.specs import ClusterSpec, PoolSpec
from tests.core.onepool import SticksSetup


class RegulatorSetup(SticksSetup):
    """The sticks of a pool and its regulator."""

    def __init__(self, count: int = 1, *, clusters: ClusterSpec | None = None) -> None:
        super().__init__(count, clusters=clusters)
        self.regulator = Regulator(self.pool, self.sticks, self.dispatcher)

    def measure(self, number: int, value_c: float | None, now_s: float) -> bool:
        scale = self.pool.clusters.time_scale
        return self[number].record_telemetry(Telemetry(value_c), now_s * scale, 0.0)

    def configure(self, clusters: ClusterSpec, now_s: float) -> list[Action]:
        return self.regulator.configure(PoolSpec(clusters, self.pool.sticks), now_s)


def ring(count: int, size: int, *, time_scale: float = 1.0, sensor: bool = False) -> RegulatorSetup:
    setup = RegulatorSetup(count, clusters=ClusterSpec(size, "ring", 10.0, 65.0, time_scale))
    setup.open(*range(1, count + 1), sensor=sensor)
    if sensor:
        for number in range(1, count + 1):
            setup.measure(number, 40.0, 2.0)
    return setup
