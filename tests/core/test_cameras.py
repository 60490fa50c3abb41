"""Each word of a camera leads to exact actions, units and counts, and so does each look at its slots."""

from __future__ import annotations

import pytest

from ncs_cluster.core.actions import DropPool, LogEvent, MakePictures, MakePool, Send
from ncs_cluster.core.cameras import Cameras
from ncs_cluster.core.child import Limits, State
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.outbox import HIGH_WATER
from ncs_cluster.core.publish import record
from ncs_cluster.core.work import Frame, Ledger, Unit
from ncs_cluster.messages import (
    MapPool,
    OpenSource,
    Rates,
    Skipped,
    UnmapPool,
)
from ncs_cluster.specs import CameraSpec
from ncs_cluster.types import CameraName, Outcome, PoolLayout, StickId
from tests.core.onecamera import CAMERA, FOUND, NAME, WORKER, House, captured, granted, info, pictures, ref

# -- a camera comes and goes


def test_without_graphs_each_frame_is_one_unit_of_a_graph_called_none() -> None:
    assert House(()).cameras.graphs == ["none"]
    assert House(("demo", "faces")).cameras.graphs == ["demo", "faces"]
    assert House().cameras.stopping is False


def test_a_camera_that_greets_is_told_its_source_and_its_next_frame() -> None:
    house = House()
    house.camera.told = Rates(1.0, True)
    assert house.cameras.hello(house.camera, 1.0) == [Send(CAMERA, OpenSource(house.spec, 0))]
    assert house.camera.child.state is State.OPENING
    assert house.camera.told is None


def test_a_camera_that_greets_again_goes_on_with_its_numbers_and_its_ring_of_pictures() -> None:
    house = House().open()
    house.camera.next_frame = 7
    house.camera.child.exited("exit code 1", 1.0)
    assert house.cameras.hello(house.camera, 2.0) == [Send(CAMERA, OpenSource(house.spec, 7)), pictures()]


def test_a_source_that_opens_gets_a_pool_a_ring_of_pictures_and_two_slots() -> None:
    house = House(("demo", "faces"))
    house.cameras.hello(house.camera, 0.0)
    layout = PoolLayout(1, 32, 640, 480, 0.001)
    assert house.cameras.opened(house.camera, info(depth_scale_m=0.001), [WORKER], 1.0) == [
        LogEvent("info", "cam0", "gives pictures: a scene, 640x480"),
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=1),
        Send(WORKER, MapPool(layout), pool=1),
        MakePictures(NAME, 4, 640, 480),
        pictures(),
        *granted(0, 1),
    ]
    assert (house.camera.signal, house.camera.detail, house.camera.child.state) == (True, None, State.RUNNING)
    assert house.camera.info == info(depth_scale_m=0.001)
    lanes = [(lane.stream, lane.graph, lane.cost, lane.ordered) for lane in house.dispatcher.lanes.values()]
    assert lanes == [("cam0", 0, 1.0, False), ("cam0", 1, 1.0, False)]


def test_the_lanes_of_an_ordered_camera_are_ordered() -> None:
    house = House(ordered=True).open()
    assert [lane.ordered for lane in house.dispatcher.lanes.values()] == [True]


def test_a_source_that_describes_itself_is_named_by_that() -> None:
    house = House()
    house.cameras.hello(house.camera, 0.0)
    actions = house.cameras.opened(house.camera, info(description="D435 12345"), [], 1.0)
    assert actions[0] == LogEvent("info", "cam0", "gives pictures: D435 12345, 640x480")


def test_a_source_that_comes_back_in_the_same_size_goes_on_with_its_pool() -> None:
    house = House().open()
    house.cameras.lost(house.camera, "cable")
    again = LogEvent("info", "cam0", "gives pictures: a scene, 640x480")
    assert house.cameras.opened(house.camera, info(), [WORKER], 1.0) == [again]
    assert (house.camera.signal, house.camera.detail) == (True, None)
    assert house.cameras.opened(house.camera, info(), [WORKER], 2.0) == []


def test_a_camera_that_was_started_again_is_told_of_its_pool_and_gets_slots() -> None:
    house = House().open()
    house.camera.child.exited("exit code 1", 1.0)
    house.cameras.exited(house.camera, 1.0)
    house.cameras.hello(house.camera, 2.0)
    assert house.cameras.opened(house.camera, info(), [WORKER], 3.0) == [
        LogEvent("info", "cam0", "gives pictures: a scene, 640x480"),
        Send(CAMERA, MapPool(house.slots.layout), pool=1),
        *granted(0, 1),
    ]
    assert len(house.dispatcher.lanes) == 1


def test_a_source_that_changes_its_size_gets_a_new_pool_and_its_old_grants_are_revoked() -> None:
    house = House().open()
    old = house.slots
    layout = PoolLayout(2, 30, 320, 240)
    assert house.cameras.opened(house.camera, info(320, 240), [WORKER], 1.0) == [
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=2),
        Send(WORKER, MapPool(layout), pool=2),
        MakePictures(NAME, 4, 320, 240),
        pictures(320, 240),
        *granted(0, 1, pool=2),
    ]
    assert (old.granted, old.retired) == (0, True)


def test_a_lost_source_is_said_once_for_each_reason() -> None:
    house = House().open()
    cameras, camera = house.cameras, house.camera
    assert cameras.lost(camera, "cable") == [LogEvent("warning", "cam0", "no signal: cable")]
    assert (camera.signal, camera.detail) == (False, "cable")
    assert cameras.lost(camera, "cable") == []
    assert cameras.lost(camera, "busy") == [LogEvent("warning", "cam0", "no signal: busy")]
    camera.signal = True
    assert cameras.lost(camera, "busy") == [LogEvent("warning", "cam0", "no signal: busy")]


@pytest.mark.parametrize(
    ("frames", "unreadable", "note"),
    [
        (0, 0, LogEvent("info", "cam0", "has ended after 0 frames")),
        (1, 0, LogEvent("info", "cam0", "has ended after 1 frame")),
        (2, 0, LogEvent("info", "cam0", "has ended after 2 frames")),
        (2, 1, LogEvent("warning", "cam0", "has ended after 2 frames, 1 of which could not be read")),
    ],
)
def test_the_end_of_a_source_is_said_with_its_frames(frames: int, unreadable: int, note: LogEvent) -> None:
    house = House()
    house.camera.frames, house.camera.unreadable = frames, unreadable
    assert house.cameras.finished is False
    assert house.cameras.ended(house.camera) == [note]
    assert house.camera.ended is True
    assert house.cameras.finished is True


def test_all_cameras_must_end_before_the_streams_are_finished_and_none_is_no_end() -> None:
    house = House()
    house.cameras.add(CameraSpec(CameraName("cam1"), "synthetic", {}, "synthetic"), 0.0)
    house.cameras.ended(house.camera)
    assert house.cameras.finished is False
    ledger = Ledger()
    assert Cameras([], Dispatcher(ledger), ledger, None, Limits()).finished is False


def test_a_camera_whose_process_ends_holds_no_grant_and_no_result() -> None:
    house = House(window=True).open()
    old = house.slots
    house.cameras.opened(house.camera, info(320, 240), [], 1.0)
    old.retired = False
    old.grant()
    unit = house.unit(0)
    house.cameras.inferred(unit, FOUND, 10.5)
    house.cameras.exited(house.camera, 11.0)
    assert (house.camera.signal, old.granted, house.slots.granted) == (False, 0, 0)
    assert house.camera.measuring == {}
    assert house.records == [record(unit, "demo", FOUND, 1.0)]


def test_the_end_of_a_process_that_never_had_a_pool_changes_no_slot() -> None:
    house = House()
    house.cameras.exited(house.camera, 1.0)
    assert house.camera.slots is None


# -- frames come


def test_a_captured_frame_is_offered_to_each_graph_and_another_slot_is_granted() -> None:
    house = House(("demo", "faces")).open()
    assert house.cameras.captured(house.camera, captured(0), 10.0) == granted(2)
    assert house.pending == [(0, 0), (1, 0)]
    frame = house.dispatcher.lanes["cam0", 0].pending[0].frame
    assert (frame.ref, frame.captured_s, frame.captured_at, frame.item) == (ref(0), 10.0, 1.7e9, "0.png")
    assert frame.slots is house.slots
    assert (house.camera.next_frame, house.camera.frames, house.slots.leased) == (1, 1, 1)
    assert house.counted(begun=2)
    for lane in house.dispatcher.lanes.values():
        house.ledger.end(lane.pending[0], "dropped")
    assert house.slots.leased == 0


def test_frame_numbers_may_leave_some_out_but_not_go_back() -> None:
    house = House().open()
    assert house.cameras.captured(house.camera, captured(5), 10.0) == granted(2)
    assert house.camera.next_frame == 6
    text = "says it captured frame 5 of cam0: ignored, frame 6 comes next"
    assert house.cameras.captured(house.camera, captured(5, slot=1), 10.0) == [LogEvent("error", "cam0", text), *granted(1)]
    assert (house.camera.next_frame, house.camera.frames, house.pending) == (6, 1, [(0, 5)])
    assert house.cameras.captured(house.camera, captured(6, slot=1), 10.0) == granted(0)


def test_a_frame_of_another_camera_is_ignored_and_its_slot_is_free_again() -> None:
    house = House().open()
    text = "says it captured frame 0 of cam1: ignored, frame 0 comes next"
    assert house.cameras.captured(house.camera, captured(0, camera="cam1"), 10.0) == [LogEvent("error", "cam0", text), *granted(0)]
    assert (house.camera.next_frame, house.camera.frames, house.pending, house.slots.leased) == (0, 0, [], 0)


@pytest.mark.parametrize(("slot", "pool"), [(2, 1), (0, 2)])
def test_a_frame_in_a_slot_that_was_not_granted_is_ignored(slot: int, pool: int) -> None:
    house = House().open()
    text = f"says it wrote slot {slot} of pool {pool}, which was not granted: ignored"
    assert house.cameras.captured(house.camera, captured(0, slot, pool), 10.0) == [LogEvent("error", "cam0", text)]
    assert (house.camera.next_frame, house.camera.frames, house.pending) == (0, 0, [])


def test_a_frame_of_a_camera_that_has_no_pool_is_ignored() -> None:
    house = House()
    text = "says it wrote slot 0 of pool 1, which was not granted: ignored"
    assert house.cameras.captured(house.camera, captured(0), 10.0) == [LogEvent("error", "cam0", text)]


def test_a_frame_in_a_retired_pool_is_offered_where_its_slot_was_granted() -> None:
    """Its pool was replaced by a larger one while it was written: those grants are not revoked."""
    house = House().open()
    old = house.slots
    house.cameras.pools.make(house.camera, [])
    assert house.cameras.captured(house.camera, captured(0), 10.0) == granted(0, 1, pool=2)
    assert house.dispatcher.lanes["cam0", 0].pending[0].frame.slots is old
    assert (old.leased, house.slots.leased) == (1, 0)


def test_a_live_frame_that_cannot_be_read_is_given_up_without_a_record_and_said_once() -> None:
    house = House(("demo", "faces")).open()
    said = LogEvent("warning", "cam0", "cannot be read: torn")
    assert house.cameras.captured(house.camera, captured(0, error="torn"), 10.0) == [said, *granted(0)]
    assert house.cameras.captured(house.camera, captured(1, slot=1, error="torn"), 10.0) == granted(1)
    assert (house.camera.frames, house.camera.unreadable, house.camera.reads) == (2, 2, False)
    assert house.counted(begun=4, given_up=4)
    assert (house.records, house.pending, house.slots.leased) == ([], [], 0)
    house.cameras.captured(house.camera, captured(2), 10.0)
    assert (house.camera.unreadable, house.camera.reads) == (2, True)
    assert house.cameras.captured(house.camera, captured(3, slot=1, error="gone"), 10.0)[0] == LogEvent(
        "warning", "cam0", "cannot be read: gone"
    )


def test_an_ordered_frame_that_cannot_be_read_has_its_record_in_its_turn() -> None:
    house = House(ordered=True).open()
    house.cameras.captured(house.camera, captured(0), 10.0)
    house.cameras.captured(house.camera, captured(1, slot=1, error="torn"), 10.0)
    assert house.records == []
    (first,) = house.dispatcher.lanes["cam0", 0].pending
    house.cameras.publish(house.camera, first, Outcome(), 10.5)
    torn = Unit("cam0", Frame(ref(1, 1), None, 10.0, 1.7e9, "1.png"), 0)
    assert house.records == [record(first, "demo", Outcome(), 0.5), record(torn, "demo", Outcome(error="torn"), None)]


def test_frames_that_come_while_the_daemon_stops_are_numbered_and_not_worked_on() -> None:
    house = House().open()
    house.cameras.stopping = True
    assert house.cameras.captured(house.camera, captured(0, error="torn"), 10.0) == []
    assert house.cameras.captured(house.camera, captured(1, slot=1), 10.0) == []
    assert (house.camera.next_frame, house.camera.frames, house.camera.unreadable) == (2, 2, 0)
    assert (house.pending, house.slots.granted, house.slots.leased) == ([], 0, 0)
    assert house.counted()


def test_a_skipped_frame_is_counted_as_dropped_by_each_graph() -> None:
    house = House(("demo", "faces")).open()
    house.cameras.skipped(house.camera, Skipped(4))
    assert (house.camera.next_frame, house.camera.frames) == (5, 1)
    house.cameras.skipped(house.camera, Skipped(2))
    assert (house.camera.next_frame, house.camera.frames) == (5, 2)
    assert house.counted(begun=4, dropped=4)


# -- rates and slots


def test_a_camera_is_told_its_rate_when_it_has_changed() -> None:
    house = House()
    cameras, camera = house.cameras, house.camera
    assert cameras.tell_rates(camera, 1.0) == []
    assert camera.told is None
    house.open()
    assert cameras.tell_rates(camera, 1.0) == [Send(CAMERA, Rates(0.0, False))]
    assert cameras.tell_rates(camera, 1.0) == []
    camera.viewers = 1
    assert cameras.tell_rates(camera, 1.0) == [Send(CAMERA, Rates(0.0, True))]
    for now_s in (1.0, 1.3, 1.6):
        camera.detection.count(now_s)
    assert cameras.tell_rates(camera, 1.6) == [Send(CAMERA, Rates(3.3, True))]
    assert camera.told == Rates(3.3, True)


def test_no_slot_is_granted_while_the_daemon_stops_or_the_camera_does_not_run() -> None:
    house = House()
    assert house.cameras.grant(house.camera) == []
    house.cameras.hello(house.camera, 0.0)
    house.camera.child.ready(0.0)
    assert house.cameras.grant(house.camera) == [], "it has no pool"
    house.open()
    house.slots.revoke_grants()
    house.cameras.stopping = True
    assert house.cameras.grant(house.camera) == []
    house.cameras.stopping = False
    assert house.cameras.grant(house.camera) == granted(0, 1)
    assert house.cameras.grant(house.camera) == []
    house.slots.revoke_grants()
    house.camera.child.exited("exit code 1", 1.0)
    assert house.cameras.grant(house.camera) == []


def test_a_pool_that_is_full_grants_what_is_left() -> None:
    house = House().open()
    for slot in range(29):
        house.slots.written(slot, 1)
        house.slots.grant()
    assert house.cameras.grant(house.camera) == []
    house.slots.release(7)
    assert house.cameras.grant(house.camera) == granted(7)


@pytest.mark.parametrize(
    ("ordered", "sink", "kept", "waits"),
    [
        (True, True, HIGH_WATER, True),
        (True, True, HIGH_WATER - 1, False),
        (False, True, HIGH_WATER, False),
        (True, False, 0, False),
    ],
)
def test_an_ordered_camera_gets_no_slot_while_the_outbox_is_full(ordered: bool, sink: bool, kept: int, waits: bool) -> None:
    house = House(ordered=ordered, sink=sink).open()
    house.slots.revoke_grants()
    for _ in range(kept):
        house.outbox.put(b"x")
    assert house.cameras.grant(house.camera) == ([] if waits else granted(0, 1))


def test_a_pool_that_has_become_too_small_is_replaced_and_goes_when_it_is_idle() -> None:
    house = House(ordered=True).open()
    assert house.cameras.housekeeping([WORKER]) == []
    house.dispatcher.queue(StickId("sim-1"), 24)
    layout = PoolLayout(2, 62, 640, 480)
    assert house.cameras.housekeeping([WORKER]) == [
        MakePool(layout),
        Send(CAMERA, MapPool(layout), pool=2),
        Send(WORKER, MapPool(layout), pool=2),
        *granted(0, 1, pool=2),
    ]
    assert house.cameras.housekeeping([WORKER]) == []
    house.camera.retired[0].revoke_grants()
    assert house.cameras.housekeeping([WORKER]) == [Send(WORKER, UnmapPool(1)), Send(CAMERA, UnmapPool(1)), DropPool(1)]
