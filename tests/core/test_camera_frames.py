"""Each frame of a camera leads to exact actions, units and counts, and so does each look at its slots."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster.core.actions import LogEvent
from ncs_cluster.core.outbox import HIGH_WATER
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.messages import Skipped
from ncs_cluster.types import Outcome
from tests.core.onecamera import HELLO, House, captured, granted, record, ref

# -- frames come


def test_a_captured_frame_is_offered_to_each_graph_and_another_slot_is_granted() -> None:
    house = House(("demo", "faces")).open()
    assert house.hears(captured(0)) == granted(2)
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
    assert house.hears(captured(5)) == granted(2)
    assert house.camera.next_frame == 6
    text = "captured frame 5 of cam0, expected frame 6: ignored"
    assert house.hears(captured(5, slot=1)) == [LogEvent("error", "cam0", text), *granted(1)]
    assert (house.camera.next_frame, house.camera.frames, house.pending) == (6, 1, [(0, 5)])
    assert house.hears(captured(6, slot=1)) == granted(0)


def test_a_frame_of_another_camera_is_ignored_and_its_slot_is_free_again() -> None:
    house = House().open()
    text = "captured frame 0 of cam1, expected frame 0: ignored"
    assert house.hears(captured(0, camera="cam1")) == [LogEvent("error", "cam0", text), *granted(0)]
    assert (house.camera.next_frame, house.camera.frames, house.pending, house.slots.leased) == (0, 0, [], 0)


@pytest.mark.parametrize(("slot", "pool"), [(2, 1), (0, 2)])
def test_a_frame_in_a_slot_that_was_not_granted_is_ignored(slot: int, pool: int) -> None:
    house = House().open()
    text = f"wrote slot {slot} of pool {pool}, which was not granted: ignored"
    assert house.hears(captured(0, slot, pool)) == [LogEvent("error", "cam0", text)]
    assert (house.camera.next_frame, house.camera.frames, house.pending) == (0, 0, [])


def test_a_frame_of_a_camera_that_has_no_pool_is_ignored() -> None:
    house = House()
    text = "wrote slot 0 of pool 1, which was not granted: ignored"
    assert house.hears(captured(0)) == [LogEvent("error", "cam0", text)]


def test_a_frame_in_a_retired_pool_is_offered_where_its_slot_was_granted() -> None:
    """Its pool was replaced by a larger one while it was written: those grants are not revoked."""
    house = House().open()
    old = house.slots
    house.cameras.pools.make(house.camera, [])
    assert house.hears(captured(0)) == granted(0, 1, pool=2)
    assert house.dispatcher.lanes["cam0", 0].pending[0].frame.slots is old
    assert (old.leased, house.slots.leased) == (1, 0)


def test_a_live_frame_that_cannot_be_read_is_given_up_without_a_record_and_said_once() -> None:
    house = House(("demo", "faces")).open()
    said = LogEvent("warning", "cam0", "frame cannot be read: torn")
    assert house.hears(captured(0, error="torn")) == [said, *granted(0)]
    assert house.hears(captured(1, slot=1, error="torn")) == granted(1)
    assert (house.camera.frames, house.camera.unreadable, house.camera.reads) == (2, 2, False)
    assert house.counted(begun=4, given_up=4)
    assert (house.records, house.pending, house.slots.leased) == ([], [], 0)
    house.hears(captured(2))
    assert (house.camera.unreadable, house.camera.reads) == (2, True)
    assert house.hears(captured(3, slot=1, error="gone"))[0] == LogEvent("warning", "cam0", "frame cannot be read: gone")


def test_an_ordered_frame_that_cannot_be_read_has_its_record_in_its_turn() -> None:
    house = House(ordered=True).open()
    house.hears(captured(0))
    house.hears(captured(1, slot=1, error="torn"))
    assert house.records == []
    (first,) = house.dispatcher.lanes["cam0", 0].pending
    house.streams.publish(first, Outcome(), 10.5)
    torn = Unit("cam0", Frame(ref(1, 1), None, 10.0, 1.7e9, "1.png"), 0)
    assert house.records == [record(first, "demo", Outcome(), 0.5), record(torn, "demo", Outcome(error="torn"), None)]


def test_frames_that_come_while_the_daemon_stops_are_numbered_and_not_worked_on() -> None:
    house = House().open()
    house.daemon.stopping = True
    assert house.hears(captured(0, error="torn")) == []
    assert house.hears(captured(1, slot=1)) == []
    assert (house.camera.next_frame, house.camera.frames, house.camera.unreadable) == (2, 2, 0)
    assert (house.pending, house.slots.granted, house.slots.leased) == ([], 0, 0)
    assert house.counted()


def test_a_skipped_frame_is_counted_as_dropped_by_each_graph() -> None:
    house = House(("demo", "faces")).open()
    assert house.hears(Skipped(4)) == []
    assert (house.camera.next_frame, house.camera.frames) == (5, 1)
    house.hears(Skipped(2))
    assert (house.camera.next_frame, house.camera.frames) == (5, 2)
    assert house.counted(begun=4, dropped=4)


# -- slots


def test_no_slot_is_granted_while_the_daemon_stops_or_the_camera_does_not_run() -> None:
    house = House()
    assert house.camera.grant() == []
    house.hears(HELLO, 0.0)
    house.camera.child.ready(0.0)
    assert house.camera.grant() == [], "it has no pool"
    house.open()
    house.slots.revoke_grants()
    house.daemon.stopping = True
    assert house.camera.grant() == []
    house.daemon.stopping = False
    assert house.camera.grant() == granted(0, 1)
    assert house.camera.grant() == []
    house.slots.revoke_grants()
    house.camera.child.exited("exit code 1", 1.0)
    assert house.camera.grant() == []


def test_a_pool_that_is_full_grants_what_is_left() -> None:
    house = House().open()
    for slot in range(29):
        house.slots.written(slot, 1)
        house.slots.grant()
    assert house.camera.grant() == []
    house.slots.release(7)
    assert house.camera.grant() == granted(7)


@pytest.mark.parametrize(
    ("ordered", "sinks", "kept", "waits"),
    [
        (True, ("",), HIGH_WATER, True),
        (True, ("",), HIGH_WATER - 1, False),
        (False, ("",), HIGH_WATER, False),
        (True, (), 0, False),
    ],
)
def test_an_ordered_camera_gets_no_slot_while_the_outbox_is_full(
    ordered: bool, sinks: tuple[str, ...], kept: int, waits: bool
) -> None:
    house = House(ordered=ordered, sinks=sinks).open()
    house.slots.revoke_grants()
    for frame in range(kept):
        house.outbox.put(record(house.unit(frame), "demo", Outcome(), 0.5))
    assert house.camera.grant() == ([] if waits else granted(0, 1))


@pytest.mark.parametrize("stream_open", [False, True])
def test_frames_of_a_camera_without_a_stream_or_that_is_removed_are_numbered_and_not_worked_on(stream_open: bool) -> None:
    """It was told to stop; its process writes on for a moment."""
    house = House().open()
    if not stream_open:
        house.cameras.close_stream(house.camera, 9.0)
    house.camera.removed = stream_open
    assert house.hears(captured(0)) == []
    assert house.hears(captured(1, slot=1, error="torn")) == []
    assert house.hears(Skipped(4)) == []
    assert (house.camera.next_frame, house.camera.frames, house.camera.unreadable) == (5, 3, 0)
    assert (house.pending, house.slots.granted, house.slots.leased) == ([], 0, 0)
    assert house.counted(**({"begun": 1, "dropped": 1} if stream_open else {}))


def test_a_removed_camera_is_granted_no_slot() -> None:
    house = House().open()
    house.slots.revoke_grants()
    house.camera.removed = True
    assert house.camera.grant() == []


def test_a_frame_goes_to_the_graphs_of_its_stream_only() -> None:
    house = House(("demo", "faces", "hands"))
    house.camera.spec = msgspec.structs.replace(house.spec, graphs=["hands", "demo"])
    house.open()
    assert house.hears(captured(0)) == granted(2)
    assert house.pending == [(0, 0), (2, 0)]
    assert house.counted(begun=2)
    assert house.slots.leased == 1
    for lane in house.dispatcher.lanes.values():
        house.ledger.end(lane.pending[0], "dropped")
    assert house.slots.leased == 0


def test_an_answer_of_a_stick_lets_the_camera_write_on() -> None:
    """Both slots were written, and all others are in use."""
    house = House().open()
    for slot in range(30):
        if slot not in house.slots._granted:
            house.slots.grant()
        house.slots.written(slot, 1)
    held = Unit("cam0", Frame(ref(0, 3), house.slots, 10.0, 1.7e9, None), 0)
    house.ledger.begin(held)
    assert house.inferred(held, Outcome(), 10.5) == granted(3)
