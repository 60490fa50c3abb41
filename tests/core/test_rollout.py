"""New graphs reach the sticks one stick at a time: which restart, in which order, and what becomes of the frames meanwhile."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from ncs_cluster import messages as m
from ncs_cluster.core.child import State
from ncs_cluster.core.events import OPERATOR, Configured
from ncs_cluster.core.reasons import reasons
from ncs_cluster.specs import GraphSpec
from ncs_cluster.testing.world import World, cpu_fallback, installation
from ncs_cluster.types import GraphName
from tests.core.referee import watched

ONE = GraphSpec(GraphName("one"), "one.xml", "ssd")
TWO = GraphSpec(GraphName("two"), "two.xml", "ssd")
NEWER = replace(ONE, model="one-v2.xml")
LOADS = "restarts to load other graphs"


def running(*, sticks: int = 3, ordered: bool = True, graphs: tuple[GraphSpec, ...] = (ONE,), **more: Any) -> World:
    """Sticks that name the model in each answer, at work on one camera."""
    world, _ = watched(World(replace(installation(sticks, **more), graphs=list(graphs))))
    for number in range(1, sticks + 1):
        world.sticks[f"sim-{number}"].names_model = True
    world.sticks["cpu-1"].names_model = True
    world.cameras["cam0"].ordered, world.cameras["cam0"].period_s = ordered, 0.05
    world.start()
    world.run(5.0)
    return world


def configure(world: World, *graphs: GraphSpec, **changed: Any) -> None:
    world.settings = replace(world.engine.settings, graphs=list(graphs), **changed)
    world.deliver(OPERATOR, Configured(world.settings))


def restarted(world: World) -> list[str]:
    """The sticks that have restarted for their graphs, in order."""
    return [event.origin for _, event in world.log_events if event.text == LOADS]


def answers(world: World) -> list[tuple[int, str, str]]:
    """Frame, graph and the model that has answered, of each record."""
    lines = [json.loads(line) for line in world.sink.file]
    return [(line["frame"], line["graph"], line["detections"][0]["label"]) for line in lines]


def counted(world: World) -> tuple[int, int, int]:
    tally = world.engine.tally
    return tally.lost, tally.doubled, tally.out_of_order


def test_a_replaced_model_reaches_one_stick_at_a_time_while_the_others_serve_every_frame() -> None:
    world, seen = running(), []
    configure(world, NEWER)
    for _ in range(200):
        world.run(0.05)
        seen.append(sum(stick.child.running and stick.usable for stick in world.engine.sticks.by_id.values()))
    assert (min(seen), seen[-1]) == (2, 3)
    assert restarted(world) == ["sim-1", "sim-2", "sim-3"]
    assert [stick.graphs for stick in world.engine.sticks.by_id.values()] == [[NEWER]] * 3
    assert all(stick.child.restarts == stick.child.failures == 0 for stick in world.engine.sticks.by_id.values())
    found = answers(world)
    assert [frame for frame, _, _ in found] == list(range(len(found)))
    assert {graph for _, graph, _ in found} == {"one"}
    models = [model for _, _, model in found]
    assert (models[0], models[-1], set(models)) == ("one.xml", "one-v2.xml", {"one.xml", "one-v2.xml"})
    assert counted(world) == (0, 0, 0)


def test_an_added_graph_runs_on_the_next_frames_and_the_others_lose_none() -> None:
    world = running()
    configure(world, TWO, ONE)
    world.run(10.0)
    found = answers(world)
    one, two = ([frame for frame, graph, _ in found if graph == name] for name in ("one", "two"))
    assert one == list(range(len(one)))
    assert two == list(range(two[0], two[0] + len(two)))
    assert two[0] > 50
    assert len(two) > 50
    assert all(model == f"{graph}.xml" for _, graph, model in found)
    assert counted(world) == (0, 0, 0)


def test_a_removed_graph_ends_without_a_stick_that_restarts_and_may_come_back_at_once() -> None:
    world = running(graphs=(ONE, TWO))
    configure(world, TWO)
    world.run(3.0)
    ended = len([None for _, graph, _ in answers(world) if graph == "one"])
    world.run(3.0)
    assert len([None for _, graph, _ in answers(world) if graph == "one"]) == ended
    configure(world, ONE, TWO)
    world.run(3.0)
    found = answers(world)
    assert len([None for _, graph, _ in found if graph == "one"]) > ended
    assert all(model == f"{graph}.xml" for _, graph, model in found)
    two = [frame for frame, graph, _ in found if graph == "two"]
    assert two == list(range(len(two)))
    assert restarted(world) == []
    assert counted(world) == (0, 0, 0)


def test_frames_of_a_removed_graph_end_once_whatever_they_wait_for() -> None:
    for ordered in (True, False):
        world = running(ordered=ordered, graphs=(ONE, TWO))
        world.cameras["cam0"].measure_s = 0.2
        world.run(1.0)
        configure(world, TWO)
        open_units = [unit for unit in world.engine.tally.open if unit.graph == 0]
        assert open_units
        assert all(unit.closed for unit in open_units)
        world.run(2.0)
        assert all(unit.ended == "dropped" for unit in open_units)
        assert counted(world) == (0, 0, 0)


def test_a_live_camera_goes_on_with_what_the_sticks_have_until_one_has_the_added_graph() -> None:
    world = running(ordered=False)
    before = len(answers(world))
    configure(world, ONE, TWO)
    world.run(0.6)
    assert {graph for _, graph, _ in answers(world)[before:]} == {"one"}
    world.run(5.0)
    last = answers(world)[-20:]
    assert {graph for _, graph, _ in last} == {"one", "two"}


def test_sticks_that_do_not_work_come_first() -> None:
    world = running(sticks=4, cluster_size=2, interval_s=1000.0)
    assert world.engine.workers.regulators["default"].active == ["sim-1", "sim-2"]
    configure(world, NEWER)
    world.run(10.0)
    assert restarted(world) == ["sim-3", "sim-4", "sim-1", "sim-2"]


def test_the_fallback_has_the_new_graph_first_and_serves_for_the_only_stick() -> None:
    world = running(sticks=1, ordered=False, fallback=cpu_fallback())
    configure(world, NEWER)
    world.run(10.0)
    assert restarted(world) == ["cpu-1", "sim-1"]
    assert world.sticks["cpu-1"].done > 0


def test_a_stick_that_refuses_the_graph_is_the_last_to_try_it_and_the_settings_of_before_bring_it_back() -> None:
    world = running()
    for stick in ("sim-1", "sim-2", "sim-3"):
        world.sticks[stick].cannot_load = frozenset({"one-v2.xml"})
    configure(world, NEWER)
    world.run(300.0)
    assert restarted(world) == ["sim-1"]
    told = "cannot load the new graphs: one-v2.xml: too large; sim-2, sim-3 keep the old ones: change the settings, and reload"
    assert [event.text for _, event in world.log_events if event.level == "error"] == [told]
    kept = "sim-2, sim-3: still with the graphs of earlier settings"
    assert reasons(world.engine, world.now_s)[0] == ["sim-1 is quarantined: one-v2.xml: too large", kept]
    configure(world, ONE)
    world.run(2.0)
    assert [stick.child.state for stick in world.engine.sticks.by_id.values()] == [State.RUNNING] * 3
    found = answers(world)
    assert [frame for frame, _, _ in found] == list(range(len(found)))
    assert {model for _, _, model in found} == {"one.xml"}
    assert reasons(world.engine, world.now_s) == ([], False)


def test_a_stick_that_takes_the_graph_after_all_lets_the_others_follow() -> None:
    world = running()
    world.sticks["sim-1"].cannot_load = frozenset({"one-v2.xml"})
    configure(world, NEWER)
    world.run(10.0)
    world.sticks["sim-1"].cannot_load = frozenset()
    world.run(90.0)
    assert restarted(world) == ["sim-1", "sim-2", "sim-3"]
    assert [stick.graphs for stick in world.engine.sticks.by_id.values()] == [[NEWER]] * 3


def test_a_stick_that_is_pulled_while_it_restarts_keeps_no_other_waiting() -> None:
    world = running()
    configure(world, NEWER)
    world.run(0.5)
    assert restarted(world) == ["sim-1"]
    world.unplug("sim-1")
    world.run(5.0)
    assert restarted(world) == ["sim-1", "sim-2", "sim-3"]
    world.plug("sim-1")
    world.run(3.0)
    assert [stick.graphs for stick in world.engine.sticks.by_id.values()] == [[NEWER]] * 3


def test_thresholds_of_a_replaced_model_wait_for_it() -> None:
    world = running()
    configure(world, replace(NEWER, threshold=0.9))
    worker = world.worker("sim-3")
    assert worker is not None
    world.run(0.5)
    assert not any(isinstance(message, m.ChangeGraphs) for message in worker.received)
    assert worker.graphs == [ONE]
