"""Guests, graphs of jobs of other machines: only streams that name one run it, the cameras lose nothing for it, and one with which
sticks fail is dropped."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from ncs_cluster.core import guests
from ncs_cluster.core.child import State
from ncs_cluster.core.engine import Engine
from ncs_cluster.core.events import OPERATOR, Configured
from ncs_cluster.specs import CameraSpec, GraphSpec, JobRecord
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import CameraName, GraphName
from tests.core.onejob import NUMBERED
from tests.core.test_rollout import ONE, TWO, answers, counted, restarted, running

GUEST = GraphSpec(GraphName("small@0123456789ab"), "guest.xml", "ssd")


def invite(world: World, *invited: GraphSpec, **changed: object) -> None:
    world.settings = replace(world.engine.settings, guests=list(invited), **changed)
    world.deliver(OPERATOR, Configured(world.settings))


def states(world: World) -> list[State]:
    return [stick.child.state for stick in world.engine.sticks.by_id.values()]


def test_a_guest_runs_on_the_frames_of_streams_that_name_it_and_on_no_others() -> None:
    world = running()
    job = CameraSpec(CameraName("job-1"), "synthetic", {}, "a job", graphs=[GUEST.name], ordered=True)
    invite(world, GUEST, cameras=[*world.engine.settings.cameras, job])
    world.run(10.0)
    found = {stream: {graph for graph, of in found_of(world) if of == stream} for stream in ("cam0", "job-1")}
    assert found == {"cam0": {"one"}, "job-1": {GUEST.name}}
    assert restarted(world) == ["sim-1", "sim-2", "sim-3"]
    assert counted(world) == (0, 0, 0)


def found_of(world: World) -> list[tuple[str, str]]:
    """Graph and stream of each record."""
    return [(each["graph"], each["camera"]) for each in map(json.loads, world.sink.file)]


def test_a_guest_that_leaves_and_comes_back_restarts_no_stick() -> None:
    world = running()
    invite(world, GUEST)
    world.run(10.0)
    invite(world)
    world.run(2.0)
    invite(world, GUEST)
    world.run(2.0)
    assert restarted(world) == ["sim-1", "sim-2", "sim-3"]


@pytest.mark.parametrize("how", ["refuses", "crashes"])
def test_a_guest_with_which_a_stick_fails_is_dropped_and_no_other_stick_tries_it(how: str) -> None:
    world = running()
    for number in (1, 2, 3):
        setattr(world.sticks[f"sim-{number}"], "cannot_load" if how == "refuses" else "crashes_with", frozenset({"guest.xml"}))
    invite(world, GUEST)
    world.run(20.0)
    assert restarted(world) == ["sim-1"]
    assert world.engine.settings.guests == []
    assert states(world) == [State.RUNNING] * 3
    (told,) = [event.text for _, event in world.log_events if event.level == "error"]
    assert told.startswith(f"graph {GUEST.name} is dropped: sim-1 cannot work with it: ")
    frames = [frame for frame, _, _ in answers(world)]
    assert frames == list(range(len(frames)))
    assert len(frames) > 400


def test_the_newest_guest_is_dropped_first() -> None:
    world = running()
    other = replace(GUEST, name=GraphName("other@0123456789ab"), model="other.xml")
    invite(world, other)
    world.run(10.0)
    for number in (1, 2, 3):
        world.sticks[f"sim-{number}"].cannot_load = frozenset({"guest.xml"})
    invite(world, other, GUEST)
    world.run(10.0)
    assert world.engine.settings.guests == [other]
    assert states(world) == [State.RUNNING] * 3


def test_a_broken_stick_costs_no_guest_that_works_on_others() -> None:
    world = running()
    world.sticks["sim-2"].crashes_with = frozenset({"one.xml"})
    invite(world, GUEST)
    world.run(60.0)
    assert world.engine.settings.guests == [GUEST]
    assert restarted(world) == ["sim-1", "sim-2", "sim-3"]


@pytest.mark.parametrize(
    ("state", "own", "kept"), [("running", 1, True), ("paused", 1, True), ("done", 1, False), ("running", 0, False)]
)
def test_a_daemon_begins_with_the_guests_of_the_jobs_that_it_goes_on_with(state: str, own: int, kept: bool) -> None:
    engine = Engine(installation(1, graphs=("demo",) * own), 0.0)
    guests.restore(engine, [JobRecord(replace(NUMBERED, graph=GUEST), state), JobRecord(replace(NUMBERED, graph=TWO))])
    assert engine.settings.guests == ([GUEST] if kept else [])
    assert [graph.name for graph in engine.sticks.graphs] == [*["demo"] * own, *[GUEST.name] * kept]
    assert engine.streams.indices([GUEST.name]) == ([1] if kept else [])


def test_own_graphs_are_never_dropped() -> None:
    world = running()
    for number in (1, 2, 3):
        world.sticks[f"sim-{number}"].cannot_load = frozenset({"two.xml"})
    invite(world, graphs=[ONE, TWO])
    world.run(10.0)
    assert world.engine.settings.graphs == [ONE, TWO]
