"""Each frame of a camera leads to exact actions, units and counts, and so does each look at its slots."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster.core import events as e
from ncs_cluster.core import stream
from ncs_cluster.core.actions import LogEvent
from ncs_cluster.core.outbox import HIGH_WATER
from ncs_cluster.core.work import Frame, Unit
from ncs_cluster.messages import Skipped
from ncs_cluster.types import Outcome
from tests.core.onecamera import HELLO, CameraSetup, captured, granted, info, record, ref

# -- frames come


def test_a_captured_frame_is_offered_to_each_graph_and_another_slot_is_granted() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    assert setup.receive(captured(0)) == granted(2)
    assert setup.pending == [(0, 0), (1, 0)]
    frame = setup.dispatcher.lanes["cam0", 0].pending[0].frame
    assert (frame.ref, frame.captured_s, frame.captured_at, frame.item) == (ref(0), 10.0, 1.7e9, "0.png")
    assert frame.slots is setup.slots
    assert (setup.camera.next_frame, setup.camera.frames, setup.slots.leased) == (1, 1, 1)
    assert setup.counted(begun=2)
    for lane in setup.dispatcher.lanes.values():
        setup.tally.end(lane.pending[0], "dropped")
    assert setup.slots.leased == 0


def test_frame_numbers_may_leave_some_out_but_not_go_back() -> None:
    setup = CameraSetup().open()
    assert setup.receive(captured(5)) == granted(2)
    assert setup.camera.next_frame == 6
    text = "captured frame 5 of cam0, expected frame 6: ignored"
    assert setup.receive(captured(5, slot=1)) == [LogEvent("error", "cam0", text), *granted(1)]
    assert (setup.camera.next_frame, setup.camera.frames, setup.pending) == (6, 1, [(0, 5)])
    assert setup.receive(captured(6, slot=1)) == granted(0)


def test_a_frame_of_another_camera_is_ignored_and_its_slot_is_free_again() -> None:
    setup = CameraSetup().open()
    text = "captured frame 0 of cam1, expected frame 0: ignored"
    assert setup.receive(captured(0, camera="cam1")) == [LogEvent("error", "cam0", text), *granted(0)]
    assert (setup.camera.next_frame, setup.camera.frames, setup.pending, setup.slots.leased) == (0, 0, [], 0)


@pytest.mark.parametrize(("slot", "pool"), [(2, 1), (0, 2)])
def test_a_frame_in_a_slot_that_was_not_granted_is_ignored(slot: int, pool: int) -> None:
    setup = CameraSetup().open()
    text = f"wrote slot {slot} of pool {pool}, which was not granted: ignored"
    assert setup.receive(captured(0, slot, pool)) == [LogEvent("error", "cam0", text)]
    assert (setup.camera.next_frame, setup.camera.frames, setup.pending) == (0, 0, [])


def test_a_frame_of_a_camera_that_has_no_pool_is_ignored() -> None:
    setup = CameraSetup()
    text = "wrote slot 0 of pool 1, which was not granted: ignored"
    assert setup.receive(captured(0)) == [LogEvent("error", "cam0", text)]


def test_a_frame_in_a_retired_pool_is_offered_where_its_slot_was_granted() -> None:
    """Its pool was replaced by a larger one while it was written: those grants are not revoked."""
    setup = CameraSetup().open()
    old = setup.slots
    setup.cameras.pools.make(setup.camera, [])
    assert setup.receive(captured(0)) == granted(0, 1, pool=2)
    assert setup.dispatcher.lanes["cam0", 0].pending[0].frame.slots is old
    assert (old.leased, setup.slots.leased) == (1, 0)


def test_a_live_frame_that_cannot_be_read_is_given_up_without_a_record_and_said_every_ten_seconds() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    said = LogEvent("warning", "cam0", "frame cannot be read: torn")
    assert setup.receive(captured(0, error="torn")) == [said, *granted(0)]
    assert setup.receive(captured(1, slot=1, error="torn")) == granted(1)
    assert (setup.camera.frames, setup.camera.unreadable.count) == (2, 2)
    assert setup.counted(begun=4, given_up=4)
    assert (setup.records, setup.pending, setup.slots.leased) == ([], [], 0)
    setup.receive(captured(2))
    assert setup.receive(captured(3, slot=1, error="gone"), 19.9) == granted(1)
    said = LogEvent("warning", "cam0", "frame cannot be read: gone (4 so far)")
    assert setup.receive(captured(4, slot=1, error="gone"), 20.0)[0] == said


def test_an_ordered_frame_that_cannot_be_read_has_its_record_in_its_turn() -> None:
    setup = CameraSetup(ordered=True).open()
    setup.receive(captured(0))
    setup.receive(captured(1, slot=1, error="torn"))
    assert setup.records == []
    (first,) = setup.dispatcher.lanes["cam0", 0].pending
    setup.streams.publish(first, Outcome(), 10.5)
    torn = Unit("cam0", Frame(ref(1, 1), None, 10.0, 1.7e9, "1.png"), 0)
    assert setup.records == [record(first, "demo", Outcome(), 0.5), record(torn, "demo", Outcome(error="torn"), None)]


@pytest.mark.parametrize(
    ("how", "code", "invalid"), [("killed by SIGSEGV", -11, False), ("killed for an invalid message", -9, True)]
)
def test_an_ordered_frame_that_crashes_the_process_three_times_is_given_up(how: str, code: int, invalid: bool) -> None:
    setup = CameraSetup(ordered=True).open()
    setup.receive(captured(0))
    (first,) = setup.dispatcher.lanes["cam0", 0].pending
    crash = e.Exited(how, code, invalid)
    for again in (1, 2):
        assert not [each for each in setup.receive(crash, 10.0 + again) if "is given up" in str(each)]
        setup.receive(HELLO, 10.1 + again)
        setup.receive(info(), 10.2 + again)
    text = f"the camera process has crashed 3 times at this frame ({how})"
    assert setup.receive(crash, 13.0)[0] == LogEvent("warning", "cam0", f"frame 1 is given up: {text}")
    setup.receive(HELLO, 13.1)
    setup.streams.publish(first, Outcome(), 13.5)
    assert [(each.frame, each.outcome.error) for each in setup.records] == [(0, None), (1, text)]
    assert (setup.camera.next_frame, setup.camera.unreadable.count) == (2, 1)


@pytest.mark.parametrize(("ordered", "code"), [(False, -11), (True, -9), (True, 1)])
def test_a_frame_is_not_given_up_when_none_has_to_be_or_the_process_was_killed(ordered: bool, code: int) -> None:
    setup = CameraSetup(ordered=ordered).open()
    for again in range(5):
        setup.receive(e.Exited("gone", code), 10.0 * again)
        setup.camera.child.tick(10.0 * again + 9.0)
        setup.receive(HELLO, 10.0 * again + 9.1)
        setup.receive(info(), 10.0 * again + 9.2)
    assert (setup.camera.next_frame, setup.camera.unreadable.count) == (0, 0)


def test_frames_that_come_while_the_daemon_stops_are_numbered_and_not_worked_on() -> None:
    setup = CameraSetup().open()
    setup.daemon.stopping = True
    assert setup.receive(captured(0, error="torn")) == []
    assert setup.receive(captured(1, slot=1)) == []
    assert (setup.camera.next_frame, setup.camera.frames, setup.camera.unreadable.count) == (2, 2, 0)
    assert (setup.pending, setup.slots.granted, setup.slots.leased) == ([], 0, 0)
    assert setup.counted()


def test_a_skipped_frame_is_counted_as_dropped_by_each_graph() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    assert setup.receive(Skipped(4)) == []
    assert (setup.camera.next_frame, setup.camera.frames) == (5, 1)
    setup.receive(Skipped(2))
    assert (setup.camera.next_frame, setup.camera.frames) == (5, 2)
    assert setup.counted(begun=4, dropped=4)


# -- slots


def test_no_slot_is_granted_while_the_daemon_stops_or_the_camera_does_not_run() -> None:
    setup = CameraSetup()
    assert setup.camera.grant() == []
    setup.receive(HELLO, 0.0)
    setup.camera.child.ready(0.0)
    assert setup.camera.grant() == [], "it has no pool"
    setup.open()
    setup.slots.revoke_grants()
    setup.daemon.stopping = True
    assert setup.camera.grant() == []
    setup.daemon.stopping = False
    assert setup.camera.grant() == granted(0, 1)
    assert setup.camera.grant() == []
    setup.slots.revoke_grants()
    setup.camera.child.exited("exit code 1", 1.0)
    assert setup.camera.grant() == []


def test_a_pool_that_is_full_grants_what_is_left() -> None:
    setup = CameraSetup().open()
    for slot in range(29):
        setup.slots.written(slot, 1)
        setup.slots.grant()
    assert setup.camera.grant() == []
    setup.slots.release(7)
    assert setup.camera.grant() == granted(7)


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
    setup = CameraSetup(ordered=ordered, sinks=sinks).open()
    setup.slots.revoke_grants()
    for frame in range(kept):
        setup.outbox.put(record(setup.unit(frame), "demo", Outcome(), 0.5))
    assert setup.camera.grant() == ([] if waits else granted(0, 1))


@pytest.mark.parametrize(("waiting", "waits"), [(3, True), (2, False)])
def test_an_ordered_camera_gets_no_slot_while_too_many_results_wait_for_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch, waiting: int, waits: bool
) -> None:
    """As of a stick that hangs; its unit is still handed to another stick."""
    monkeypatch.setattr(stream, "WINDOW", 3)
    setup = CameraSetup(ordered=True).open()
    setup.slots.revoke_grants()
    first, *later = [setup.unit(frame) for frame in range(waiting + 1)]
    for unit in later:
        setup.streams.publish(unit, Outcome(), 10.5)
    assert setup.camera.grant() == ([] if waits else granted(0, 1))
    setup.streams.hold_full()
    assert not any(lane.held for lane in setup.dispatcher.lanes.values())
    setup.streams.publish(first, Outcome(), 11.0)
    assert setup.camera.grant() == (granted(0, 1) if waits else [])


@pytest.mark.parametrize("stream_open", [False, True])
def test_frames_of_a_camera_without_a_stream_or_that_is_removed_are_numbered_and_not_worked_on(stream_open: bool) -> None:
    """It was told to stop; its process writes on for a moment."""
    setup = CameraSetup().open()
    if not stream_open:
        setup.cameras.close_stream(setup.camera, 9.0)
    setup.camera.removed = stream_open
    assert setup.receive(captured(0)) == []
    assert setup.receive(captured(1, slot=1, error="torn")) == []
    assert setup.receive(Skipped(4)) == []
    assert (setup.camera.next_frame, setup.camera.frames, setup.camera.unreadable.count) == (5, 3, 0)
    assert (setup.pending, setup.slots.granted, setup.slots.leased) == ([], 0, 0)
    assert setup.counted(**({"begun": 1, "dropped": 1} if stream_open else {}))


def test_a_removed_camera_is_granted_no_slot() -> None:
    setup = CameraSetup().open()
    setup.slots.revoke_grants()
    setup.camera.removed = True
    assert setup.camera.grant() == []


def test_a_frame_goes_to_the_graphs_of_its_stream_only() -> None:
    setup = CameraSetup(("demo", "faces", "hands"))
    setup.camera.spec = msgspec.structs.replace(setup.spec, graphs=["hands", "demo"])
    setup.open()
    assert setup.receive(captured(0)) == granted(2)
    assert setup.pending == [(0, 0), (2, 0)]
    assert setup.counted(begun=2)
    assert setup.slots.leased == 1
    for lane in setup.dispatcher.lanes.values():
        setup.tally.end(lane.pending[0], "dropped")
    assert setup.slots.leased == 0


def test_an_answer_of_a_stick_lets_the_camera_write_on() -> None:
    """Both slots were written, and all others are in use."""
    setup = CameraSetup().open()
    for slot in range(30):
        if slot not in setup.slots._granted:
            setup.slots.grant()
        setup.slots.written(slot, 1)
    held = Unit("cam0", Frame(ref(0, 3), setup.slots, 10.0, 1.7e9, None), 0)
    setup.tally.begin(held)
    assert setup.inferred(held, Outcome(), 10.5) == granted(3)
