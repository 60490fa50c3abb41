"""New settings at any moment of any misfortune: nothing is lost, doubled or out of order, and everything comes to its end."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from msgspec.structs import replace

from ncs_cluster.core.events import OPERATOR, Configured
from ncs_cluster.specs import ClusterSpec, GraphSpec, Settings
from ncs_cluster.testing.world import installation
from ncs_cluster.types import GraphName
from tests.core.test_any_order import CAMERAS, AnyOrder
from tests.hypothesis_profiles import examples

pytestmark = pytest.mark.slow

GRAPHS = [
    GraphSpec(GraphName(name), model, "ssd")
    for name, model in [("graph0", "graph0.xml"), ("graph0", "newer.xml"), ("graph1", "graph1.xml"), ("graph2", "graph2.xml")]
]


class AnyOrderReconfigured(AnyOrder):
    """What Hypothesis does to a world whose operator changes his mind."""

    @rule(
        cameras=st.sets(CAMERAS, min_size=1),
        weight=st.sampled_from([1.0, 3.0]),
        window=st.booleans(),
        sticks=st.integers(1, 5),
        clusters=st.builds(
            ClusterSpec,
            cluster_size=st.integers(0, 3),
            policy=st.sampled_from(["ring", "all", "coolest", "predictive"]),
            switch_interval_s=st.sampled_from([0.0, 0.5, 3.0]),
            switch_temp_c=st.sampled_from([55.0, 65.0, 70.0]),
        ),
        threshold=st.sampled_from([0.3, 0.6]),
        graphs=st.lists(st.sampled_from(GRAPHS), max_size=3, unique_by=lambda graph: graph.name),
        results=st.booleans(),
    )
    def the_settings_change(
        self,
        cameras: set[str],
        weight: float,
        window: bool,
        sticks: int,
        clusters: ClusterSpec,
        threshold: float,
        graphs: list[GraphSpec],
        results: bool,
    ) -> None:
        old = self.world.engine.settings
        new = installation(sticks, tuple(sorted(cameras)), tuple(graph.name for graph in old.graphs), results=results)
        changed = replace(
            old,
            cameras=[replace(camera, weight=weight, window=window) for camera in new.cameras],
            graphs=[replace(graph, threshold=threshold) for graph in graphs],
            pools=[replace(old.pools[0], clusters=clusters, sticks=new.sticks)],
            sinks=new.sinks,
        )
        self.configure(changed)

    def configure(self, changed: Settings) -> None:
        self.referee.reconfigured = True
        for camera in changed.cameras:
            # a source that is new to the world gets its traits before its process starts
            self.world.cameras[camera.name].period_s = max(0.15, self.world.cameras[camera.name].period_s)
        self.world.settings = changed
        self.world.deliver(OPERATOR, Configured(changed))
        assert self.world.engine.settings == changed or self.world.exit_code is not None


TestReconfigured = AnyOrderReconfigured.TestCase
TestReconfigured.settings = settings(max_examples=examples(20), stateful_step_count=30, deadline=None)
