"""Troubles that last: a flapping cable, a reset of the whole bus, an hour without a stick, a graph that ends every worker."""

from __future__ import annotations

import msgspec

from ncs_cluster.core import actions as a
from ncs_cluster.core import report
from ncs_cluster.processes.repeats import Repeats
from ncs_cluster.status import Status
from ncs_cluster.testing.world import World, installation

ALL = [f"sim-{n}" for n in range(1, 5)]


def status(world: World) -> Status:
    return report.status(world.engine, world.now_s, 1.7e9, version="1", pid=7, machine=None, usage={})


def told(world: World) -> int:
    """How many lines of the log the events are."""
    repeats, lines = Repeats(), 0
    for when_s, event in world.log_events:
        lines += len(repeats.due(when_s)) + repeats.passes(event, when_s)
    return lines


def frames_of(world: World) -> list[int]:
    return [msgspec.json.decode(line)["frame"] for line in world.sink.file]


def lossless(sticks: int, frames: int) -> World:
    """An ordered stream that ends after so many frames."""
    settings = installation(sticks)
    cameras = [msgspec.structs.replace(camera, ordered=True) for camera in settings.cameras]
    world = World(msgspec.structs.replace(settings, cameras=cameras))
    world.cameras["cam0"].frames, world.cameras["cam0"].ordered = frames, True
    return world


def test_a_flapping_cable_costs_no_frame_and_few_lines_of_the_log() -> None:
    """Twenty times in 6 s, while the other stick works on; ten lines each minute are allowed."""
    world = lossless(2, 600).start()
    world.run(5.0)
    world.log_events.clear()
    for _ in range(20):
        world.unplug("sim-1")
        world.run(0.15)
        world.plug("sim-1")
        world.run(0.15)
    assert told(world) <= 10, world.log_text
    world.run(120.0)
    assert world.exit_code == 0
    assert frames_of(world) == list(range(600))
    assert told(world) <= 20


def test_a_reset_of_the_whole_bus_loses_nothing_and_all_sticks_come_back() -> None:
    world = lossless(4, 900).start()
    world.run(5.0)
    for stick in ALL:
        world.unplug(stick)
    world.run(0.5)
    assert status(world).daemon.state == "down"
    for stick in ALL:
        world.plug(stick)
    world.run(5.0)
    assert {stick.state for stick in status(world).sticks} == {"active"}
    world.run(120.0)
    assert (world.exit_code, frames_of(world)) == (0, list(range(900)))


def test_an_hour_without_a_stick_costs_no_cpu_and_ends_with_the_first_that_is_back() -> None:
    """The loop wakes for its ticks, four a second, and for nothing else; the camera goes on."""
    world = World(installation(4)).start()
    world.run(5.0)
    for stick in ALL:
        world.unplug(stick)
    world.run(10.0)
    wakes = world.wakes
    world.run(3600.0)
    assert (world.wakes - wakes) / 3600.0 <= 5.0
    seen = status(world)
    assert (seen.daemon.state, seen.daemon.ready, seen.daemon.alive) == ("down", False, True)
    assert seen.daemon.reasons == [f"{stick} is absent: unplugged" for stick in ALL]
    results = world.engine.tally.count("cam0").result
    world.plug("sim-3")
    world.run(5.0)
    assert world.engine.tally.count("cam0").result > results
    assert (status(world).daemon.state, status(world).daemon.ready) == ("degraded", True)


def test_workers_that_all_die_as_they_open_are_tried_less_than_twelve_times_a_minute_and_for_ever() -> None:
    world = World(installation(4))
    starts: list[float] = []
    world.watchers.append(lambda action: starts.append(world.now_s) if isinstance(action, a.Spawn) else None)
    world.start()
    for _ in range(1800):
        world.run(1.0)
        for stick in ALL:
            worker = world.worker(stick)
            if worker is not None and worker.hello_sent:
                world.crash(worker.endpoint)
    began = [when_s for when_s in starts if when_s > starts[0] + 300.0]
    assert 4 <= len(began) / 25.0 <= 12, "starts of all four together, each minute"
    assert status(world).daemon.state == "down"
    assert any("quarantined: killed by SIGSEGV" in reason for reason in status(world).daemon.reasons)
    assert told(world) <= 30 * 10
    world.run(70.0)
    assert {stick.state for stick in status(world).sticks} == {"active"}, "they are tried without end"
