"""Single misfortunes, each once met: what must hold afterwards."""

from __future__ import annotations

import json

import pytest

from ncs_cluster import messages as m
from ncs_cluster.core import actions as a
from ncs_cluster.core.child import State
from ncs_cluster.core.events import GATEWAY, SINK, Endpoint
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import CameraName, FrameRef
from tests.core.referee import Referee, frames, ordered, watched

CAM = Endpoint("camera", "cam0")


# -- frames and slots


def test_a_camera_cannot_use_up_the_grants_of_another() -> None:
    world, referee = watched(World(installation(2, ("cam0", "cam1"))))
    world.start().run(2.0)
    other = world.engine.cameras.by_name["cam1"].slots
    assert other is not None
    before = set(other._granted)
    slot = next(iter(before))
    lie = FrameRef(CameraName("cam0"), other.layout.pool, slot, 10_000, 640, 480)
    world.deliver(CAM, m.FrameCaptured(lie, world.now_s, world.now_s))
    assert set(other._granted) == before
    referee.check()


def test_a_frame_number_that_goes_backwards_costs_the_camera_no_slot() -> None:
    world, referee = watched(World(installation(1)))
    world.start().run(2.0)
    camera = world.camera()
    assert camera is not None
    for _ in range(5):
        grant = camera.grants.popleft()
        lie = FrameRef(CameraName("cam0"), grant.pool, grant.slot, 0, 640, 480)
        world.deliver(CAM, m.FrameCaptured(lie, world.now_s, world.now_s))
        world.run(0.1)
    referee.check()
    before = world.engine.tally.count("cam0").result
    world.run(2.0)
    assert world.engine.tally.count("cam0").result > before + 15


def test_an_ordered_stream_goes_on_past_a_number_its_camera_left_out() -> None:
    world = World(installation(2))
    ordered(world)
    world.start().run(2.0)
    camera = world.camera()
    assert camera is not None
    camera.next_frame += 3
    world.run(3.0)
    assert world.engine.tally.count("cam0").result > 50
    assert frames(world)[-1] > 45
    assert world.engine.tally.out_of_order == 0


def test_results_stay_in_order_when_a_killed_camera_takes_time_to_die() -> None:
    world, referee = watched(World(installation(3)))
    world.cameras["cam0"].measure_s = 0.09
    world.exit_s = 1.0
    world.start().run(3.0)
    camera = world.engine.cameras.by_name["cam0"]
    while not camera.measuring:
        world.run(0.01)
    world._perform(camera.child.kill(world.now_s, "for a test"))
    world.run(5.0)
    referee.check()
    assert camera.child.running


def test_a_camera_that_answers_out_of_order_does_not_turn_results_round() -> None:
    world, referee = watched(World(installation(3)))
    world.cameras["cam0"].answers = False
    world.start().run(1.5)
    tickets = list(world.engine.cameras.by_name["cam0"].measuring)
    assert len(tickets) > 3
    for ticket in reversed(tickets):
        world.deliver(CAM, m.Measured(ticket, []))
        referee.check()


def test_a_camera_that_captures_and_never_answers_is_started_again() -> None:
    world, referee = watched(World(installation(2)))
    world.start().run(3.0)
    world.cameras["cam0"].answers = False
    world.run(6.5)
    world.cameras["cam0"].answers = True
    world.run(3.0)
    referee.check()
    assert world.engine.cameras.by_name["cam0"].child.restarts == 1
    assert "no answer for 5 s: camera hangs" in world.log_text
    assert world.engine.streams.by_name["cam0"].detection.per_s(world.now_s) > 15


def test_nothing_is_said_to_a_new_camera_before_it_is_told_what_to_open() -> None:
    world, referee = watched(World(installation(4)))
    world.start_s = 2.5
    world.start().run(4.0)
    for _ in range(4):
        world.crash(CAM)
        world.run(4.0)
    referee.check()
    assert world.engine.cameras.by_name["cam0"].child.failures < 5


def test_pictures_go_on_in_the_same_ring_when_the_pool_grows() -> None:
    world = World(installation(2, gateway=True))
    rings: list[str] = []
    world.watchers.append(lambda action: rings.append(action.camera) if isinstance(action, a.MakePictures) else None)
    world.start().run(2.0)
    for number in range(3, 30):
        world.plug(f"sim-{number}")
    world.run(5.0)
    assert len(world.engine.cameras.pools.by_number) == 1
    assert next(iter(world.engine.cameras.pools.by_number)) > 1, "the pool has not grown: this test tests nothing"
    assert rings == ["cam0"], "readers of the old ring would see a frozen picture"


def test_a_stick_that_answers_with_errors_at_once_makes_no_other_sticks_result_late() -> None:
    world, referee = watched(World(installation(3)))
    world.cameras["cam0"].measure_s = 0.02
    world.start().run(2.0)
    world.sticks["sim-3"].refuses = True
    world.run(10.0)
    referee.check()
    count = world.engine.tally.count("cam0")
    assert count.given_up > 20
    assert count.late <= 5
    assert count.result > 150
    assert world.engine.sticks.by_id["sim-3"].child.last_error == "cannot"  # type: ignore[index]


# -- who gets a stick


@pytest.mark.parametrize("max_in_flight", [1, 2, 4])
def test_a_live_stream_is_not_starved_by_an_ordered_one(max_in_flight: int) -> None:
    world = World(installation(2, ("cam0", "cam1")))
    ordered(world, "cam0")
    world.cameras["cam0"].period_s = 0.001
    for name in ("sim-1", "sim-2"):
        world.sticks[name].max_in_flight = max_in_flight
    world.start().run(60.0)
    job, live = world.engine.tally.count("cam0").result, world.engine.tally.count("cam1").result
    assert live == pytest.approx(job, rel=0.1)
    assert live + job >= 0.95 * 2 * 59 / 0.1


def test_a_suspect_finds_a_stick_although_another_stream_fills_them_all() -> None:
    world, referee = watched(World(installation(3, ("cam0", "cam1"))))
    ordered(world, "cam0")
    ordered(world, "cam1")
    deaths: list[int] = []

    def poison(frame: FrameRef) -> bool:
        deadly = frame.camera == "cam0" and frame.frame == 20
        if deadly:
            deaths.append(frame.frame)
        return deadly

    for number in range(3):
        world.sticks[f"sim-{number + 1}"].poison = poison
        world.sticks[f"sim-{number + 1}"].max_in_flight = 4
    world.start().run(60.0)
    referee.check()
    assert len(deaths) == 3
    assert world.engine.tally.count("cam0").given_up == 1
    assert world.engine.tally.count("cam1").given_up == 0
    errors = [line["frame"] for line in map(json.loads, world.sink.file) if "error" in line]
    assert errors == [20]
    assert len(frames(world, "cam0")) > 200


@pytest.mark.parametrize("sticks", [1, 2, 3, 5])
def test_a_frame_kills_at_most_three_times_and_no_innocent_is_given_up(sticks: int) -> None:
    world, referee = watched(World(installation(sticks)))
    ordered(world, count=60)
    deaths: list[int] = []

    def poison(frame: FrameRef) -> bool:
        if frame.frame in (7, 8, 30):
            deaths.append(frame.frame)
        return frame.frame in (7, 8, 30)

    for number in range(sticks):
        world.sticks[f"sim-{number + 1}"].poison = poison
        world.sticks[f"sim-{number + 1}"].max_in_flight = 3
    world.start().run(300.0)
    assert all(1 <= deaths.count(number) <= 3 for number in (7, 8, 30))
    lines = referee.records()
    assert [line["frame"] for line in lines if "error" in line] == [7, 8, 30]
    assert len(lines) == 60
    assert world.exit_code == 0


def test_a_stall_of_the_supervisor_does_not_make_it_patient_with_hung_sticks() -> None:
    world = World(installation(1))
    world.start().run(3.0)
    world.stall(20.0)
    world.run(3.0)
    world.sticks["sim-1"].hangs = True
    world.run(4.0)
    assert world.engine.sticks.by_id["sim-1"].child.restarts == 1  # type: ignore[index]


def test_a_killed_worker_that_still_talks_is_not_listened_to() -> None:
    world, referee = watched(World(installation(2)))
    world.start().run(3.0)
    process = world.worker("sim-1")
    assert process is not None
    process.frozen = process.stuck = True
    world.run(20.0)
    stick = world.engine.sticks.by_id["sim-1"]  # type: ignore[index]
    assert stick.child.state is State.FENCED
    for word in (m.StickOpened("late", True, 2), m.Telemetry(30.0), m.Hello(m.PROTOCOL, 1, "3")):
        world.deliver(process.endpoint, word)
    assert "sim-1" not in world.engine.dispatcher.queues
    referee.check()


# -- the way out


def test_a_folder_of_corrupt_pictures_alone_comes_to_its_end() -> None:
    world, referee = watched(World(installation(1)))
    ordered(world, count=5)
    world.cameras["cam0"].corrupt = frozenset(range(5))
    world.start().run(20.0)
    assert [line.get("error") for line in referee.records()] == ["no picture"] * 5
    assert world.exit_code == 0


def test_the_first_picture_that_cannot_be_read_is_told_and_all_are_counted_at_the_end() -> None:
    world, _ = watched(World(installation(1)))
    ordered(world, count=5)
    world.cameras["cam0"].corrupt = frozenset((1, 2, 4))
    world.start().run(20.0)
    told = [line for line in world.log_text.splitlines() if "read" in line and "cam0" in line]
    assert [line.split("cam0: ")[1] for line in told] == [
        "frame cannot be read: no picture",
        "ended after 5 frames, 3 of them unreadable",
    ]


def test_a_last_frame_that_is_given_up_does_not_keep_the_daemon_from_its_end() -> None:
    world, referee = watched(World(installation(2)))
    ordered(world, count=4)
    for name in ("sim-1", "sim-2"):
        world.sticks[name].poison = lambda frame: frame.frame == 3
    world.start().run(60.0)
    assert len(referee.records()) == 4
    assert world.exit_code == 0


def test_a_late_acknowledgement_of_a_dead_sink_moves_nothing() -> None:
    world, referee = watched(World(installation(1)))
    world.start().run(3.0)
    world.crash(SINK)
    world.run(0.1)
    before = world.engine.sinks.by_name[""].outbox.token
    world.engine.sinks.by_name[""].outbox.acked(10_000, b"10000000")
    assert world.engine.sinks.by_name[""].outbox.token == before
    world.run(5.0)
    referee.check()
    assert frames(world) == sorted(set(frames(world)))


def test_an_ordered_camera_waits_while_the_disk_is_full() -> None:
    world, referee = watched(World(installation(1)))
    ordered(world)
    world.cameras["cam0"].period_s = 0.001
    world.cameras["cam0"].corrupt = frozenset(range(100_000))
    world.sink.full = True
    world.start().run(60.0)
    assert world.engine.sinks.by_name[""].outbox.kept < 400
    world.sink.full = False
    world.run(5.0)
    referee.check()
    assert len(frames(world)) > 1000


def test_q_in_two_windows_is_one_wish_to_stop() -> None:
    world, referee = watched(World(installation(2)))
    world.start().run(3.0)
    world.deliver(CAM, m.QuitRequested())
    world.deliver(CAM, m.QuitRequested())
    assert world.exit_code is None
    world.run(6.0)
    assert world.exit_code == 0
    referee.drained()


def test_results_of_a_drain_that_took_too_long_are_still_written() -> None:
    world, referee = watched(World(installation(1)))
    world.cameras["cam0"].answers = False
    world.start().run(3.0)
    world.ask_stop()
    world.run(6.0)
    assert world.exit_code == 0
    assert len(world.sink.file) == world.engine.tally.count("cam0").result
    referee.check()


def test_the_page_may_come_and_go() -> None:
    world, referee = watched(World(installation(2, gateway=True)))
    world.start().run(3.0)
    for _ in range(3):
        world.deliver(GATEWAY, m.Watch(CameraName("cam0"), 2))
        world.crash(GATEWAY)
        world.run(2.0)
    referee.check()
    assert world.engine.cameras.by_name["cam0"].viewers == 0


def test_a_result_without_anything_to_measure_or_to_draw_does_not_trouble_its_camera() -> None:
    world = World(installation(2, gateway=True))
    referee = Referee(world)
    world.cameras["cam0"].depth_scale_m = None
    asked: list[float] = []

    def watch(action: a.Action) -> None:
        if isinstance(action, a.Send) and isinstance(action.message, m.Measure):
            asked.append(world.now_s)

    world.watchers.append(watch)
    world.start().run(5.0)
    assert not asked
    assert len(world.sink.file) > 80
    world.deliver(GATEWAY, m.Watch(CameraName("cam0"), 1))
    world.run(5.0)
    assert asked, "somebody looks: boxes are drawn"
    world.deliver(GATEWAY, m.Watch(CameraName("cam0"), 0))
    asked.clear()
    world.run(5.0)
    assert not asked
    referee.check()
