"""How it ends: drained, at once when asked twice, within five seconds whatever anybody does, and by itself when all is done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.events import GATEWAY, SINK, Endpoint
from ncs_cluster.testing.world import World, installation
from tests.core.referee import Referee
from tests.hypothesis_profiles import examples


def test_a_stop_drains_what_is_under_way_and_writes_it() -> None:
    world = World(installation(3, gateway=True))
    referee = Referee(world)
    world.start().run(3.0)
    open_before = len(world.engine.tally.open)
    assert open_before
    asked_s = world.now_s
    world.ask_stop()
    world.run(6.0)
    count = world.engine.tally.count("cam0")
    assert world.exit_code == 0
    assert world.exited_s is not None
    assert world.exited_s - asked_s < 2.0
    assert len(world.sink.file) == count.result
    assert count.open == 0
    assert not world.processes
    referee.drained()


def test_a_second_stop_ends_at_once() -> None:
    world = World(installation(3))
    world.start().run(3.0)
    killed: list[Endpoint] = []
    world.watchers.append(lambda action: killed.append(action.endpoint) if isinstance(action, a.Kill) else None)
    world.ask_stop()
    running = set(world.processes)
    world.ask_stop()
    assert world.exit_code == 0
    assert set(killed) == running


EVIL = st.sampled_from(["good", "frozen", "stuck", "slow", "crashes", "unspawnable"])


@settings(deadline=None, max_examples=examples(40))
@given(st.lists(EVIL, min_size=6, max_size=6), st.floats(0.0, 3.0), st.booleans())
def test_it_ends_within_five_seconds_whatever_its_children_do(evils: list[str], begun_s: float, full: bool) -> None:
    world = World(installation(3, gateway=True))
    referee = Referee(world)
    world.start().run(begun_s)
    world.sink.full = full
    everybody = [
        Endpoint("worker", "sim-1"),
        Endpoint("worker", "sim-2"),
        Endpoint("worker", "sim-3"),
        Endpoint("camera", "cam0"),
        SINK,
        GATEWAY,
    ]
    for endpoint, evil in zip(everybody, evils, strict=True):
        process = world.processes.get(endpoint)
        if process is None:
            continue
        if evil in ("frozen", "stuck"):
            process.frozen, process.stuck = True, evil == "stuck"
        elif evil == "slow" and endpoint.kind == "worker":
            world.sticks[endpoint.name].latency_s = 30.0
        elif evil in ("crashes", "unspawnable"):
            if evil == "unspawnable":
                world.unspawnable.add(endpoint)
            world.crash(endpoint)
    world.run(0.05)
    asked_s = world.now_s
    world.ask_stop()
    world.run(10.0)
    assert world.exit_code == 0
    assert world.exited_s is not None
    assert world.exited_s - asked_s <= 5.0
    referee.check()


@pytest.mark.parametrize("ordered", [True, False])
def test_finite_sources_end_the_daemon_when_every_record_is_acknowledged(ordered: bool) -> None:
    world = World(installation(2, ("cam0", "cam1")))
    referee = Referee(world)
    for name, frames in (("cam0", 40), ("cam1", 25)):
        world.cameras[name].frames, world.cameras[name].ordered = frames, ordered
    world.sink.full = True
    world.start().run(60.0)
    assert world.exit_code is None, "not before everything is written"
    world.sink.full = False
    world.run(10.0)
    assert world.exit_code == 0
    lines = referee.records()
    results = sum(count.result for count in world.engine.tally.streams.values())
    assert len(lines) == results
    if ordered:
        assert results == 65
    assert world.engine.sinks.by_name[""].outbox.kept == 0


def test_a_camera_that_dies_before_its_last_frame_goes_on_where_it_was() -> None:
    world = World(installation(2))
    referee = Referee(world)
    world.cameras["cam0"].frames, world.cameras["cam0"].ordered = 50, True
    world.start().run(1.5)
    world.crash(Endpoint("camera", "cam0"))
    world.run(30.0)
    assert [line["frame"] for line in referee.records()] == list(range(50))
    assert world.exit_code == 0


def test_a_source_that_was_never_there_ends_the_start() -> None:
    world = World(installation(2))
    world.start().run(0.3)
    world.deliver(Endpoint("camera", "cam0"), m.Failed("open", "film.mp4 is no video", True))
    assert world.exit_code == 78


def test_a_source_that_was_there_once_is_tried_again() -> None:
    world = World(installation(2))
    world.start().run(2.0)
    world.deliver(Endpoint("camera", "cam0"), m.Failed("open", "gone", True))
    world.crash(Endpoint("camera", "cam0"))
    world.run(70.0)
    assert world.exit_code is None
    assert world.engine.cameras.by_name["cam0"].child.running


@pytest.mark.parametrize("after_s", [0.01, 0.21, 0.35, 0.6, 1.0])
def test_a_stop_may_come_while_all_are_still_starting(after_s: float) -> None:
    world = World(installation(3, gateway=True))
    world.start().run(after_s)
    world.ask_stop()
    world.run(6.0)
    assert world.exit_code == 0
    assert not world.processes
