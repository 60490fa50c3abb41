"""Streams open and close; each unit ends exactly once and is published in its turn: exact actions, records and counts."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster.core.stream import Stream
from ncs_cluster.core.work import Unit
from ncs_cluster.testing.world import World, installation
from ncs_cluster.types import Outcome, StickId
from tests.core.onecamera import FOUND, CameraSetup, captured, record
from tests.core.onestream import FakeProducer, frame, job

# -- open and close


def test_the_graphs_of_some_names_are_found_and_all_where_none_is_named() -> None:
    streams = CameraSetup(("demo", "faces", "hands")).streams
    assert streams.indices([]) == [0, 1, 2]
    assert streams.indices(["hands", "demo", "unknown"]) == [0, 2]
    assert CameraSetup(()).streams.indices([]) == [0]


def test_a_graph_keeps_its_number_whatever_is_added_and_removed() -> None:
    streams = CameraSetup(("demo", "faces")).streams
    streams.set_graphs(["hands", "faces"])
    assert (streams.graphs, streams.indices([]), streams.indices(["demo"])) == (["demo", "faces", "hands"], [2, 1], [])
    streams.set_graphs([])
    assert (streams.indices([]), streams.graphs[3]) == ([3], "none")
    streams.set_graphs(["demo"])
    assert streams.indices([]) == [0]
    assert streams.indices_at_stick(["hands", "demo"]) == {2: 0, 0: 1}
    assert streams.indices_at_stick([]) == {3: 0}


def test_the_lanes_of_a_stream_follow_its_graphs_and_share_its_weight() -> None:
    setup = CameraSetup(("demo", "faces"))
    stream = Stream("job-1", FakeProducer(), graphs=[0, 1], weight=4.0, ordered=True)
    setup.streams.open(stream)
    setup.streams.offer(stream, frame(0), error=None, now_s=10.0)
    waiting = setup.dispatcher.lanes["job-1", 0].pending[0]
    setup.streams.set_graphs(["faces", "hands", "feet"])
    setup.streams.change_graphs(stream, [1, 2, 3], 11.0)
    assert {key: (lane.cost, lane.ordered) for key, lane in setup.dispatcher.lanes.items()} == {
        ("job-1", graph): (0.75, True) for graph in (1, 2, 3)
    }
    assert (waiting.ended, stream.graphs, stream.due(1)) == ("dropped", (1, 2, 3), (1, 2, 3))
    assert len(setup.dispatcher.lanes["job-1", 1].pending) == 1


def test_an_opened_stream_has_a_lane_for_each_of_its_graphs() -> None:
    setup = CameraSetup(("demo", "faces", "hands"))
    stream = Stream("job-1", FakeProducer(), graphs=[0, 2], weight=4.0, ordered=True)
    setup.streams.open(stream)
    assert setup.streams.by_name == {"job-1": stream}
    lanes = setup.dispatcher.lanes
    assert {key: (lane.cost, lane.ordered) for key, lane in lanes.items()} == {("job-1", 0): (0.5, True), ("job-1", 2): (0.5, True)}


def test_frames_that_wait_for_a_stick_are_dropped_when_their_stream_closes() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    stream = setup.stream
    setup.receive(captured(0))
    other = job(setup)
    setup.streams.offer(other, frame(0), error=None, now_s=10.0)
    setup.streams.close("cam0", 11.0)
    assert (setup.streams.by_name, stream.closing) == ({"job-1": other}, True)
    assert list(setup.dispatcher.lanes) == [("job-1", 0)]
    assert setup.counted(begun=2, dropped=2)
    assert (setup.records, setup.slots.leased, setup.tally.doubled) == ([], 0, 0)


def test_a_stream_that_is_not_open_can_be_closed() -> None:
    setup = CameraSetup().open()
    setup.streams.close("cam9", 11.0)
    assert list(setup.streams.by_name) == ["cam0"]


@pytest.mark.parametrize("outcome", [FOUND, Outcome(error="no memory")])
def test_a_result_that_comes_after_its_stream_was_closed_is_dropped(outcome: Outcome) -> None:
    setup = CameraSetup().open()
    unit = setup.on_stick(0)
    setup.streams.close("cam0", 11.0)
    assert setup.inferred(unit, outcome, 11.5) == []
    assert setup.counted(begun=1, dropped=1)
    assert setup.records == []


def test_a_result_of_a_closed_stream_is_not_one_of_a_new_stream_of_its_name() -> None:
    setup = CameraSetup(ordered=True).open()
    setup.dispatcher.attach(StickId("sim-1"), 4).duty = 1.0
    setup.receive(captured(0))
    (unit,) = setup.dispatcher.assign(10.0)
    setup.cameras.close_stream(setup.camera, 11.0)
    assert unit.closed is True
    new = job(setup, "cam0")
    setup.streams.offer(new, frame(0), error=None, now_s=11.0)
    assert setup.inferred(unit, FOUND, 11.5) == []
    assert (unit.ended, setup.records, new.published) == ("dropped", [], {})
    assert setup.counted(begun=2, dropped=1)


def test_a_unit_of_a_closed_stream_that_is_published_or_given_up_leaves_no_record() -> None:
    setup = CameraSetup(ordered=True).open()
    first, second = setup.unit(0), setup.unit(1)
    setup.streams.close("cam0", 11.0)
    setup.streams.publish(first, FOUND, 11.5)
    setup.streams.give_up(second, "why", 11.5)
    assert setup.counted(begun=2, dropped=1, given_up=1)
    assert setup.records == []


def test_results_that_are_held_are_dropped_when_their_stream_closes() -> None:
    setup = CameraSetup().open()
    first, second = setup.on_stick(0), setup.on_stick(1)
    setup.inferred(second, FOUND, 10.5)
    setup.streams.close("cam0", 10.6)
    assert (second.ended, setup.streams.deadline_s, setup.streams.release(99.0)) == ("dropped", None, [])
    setup.inferred(first, FOUND, 10.7)
    assert setup.counted(begun=2, dropped=2)
    assert (setup.records, setup.tally.doubled) == ([], 0)


def test_finished_results_that_wait_for_their_turn_are_recorded_when_their_stream_closes() -> None:
    """They count as results."""
    setup = CameraSetup(("demo", "faces"), ordered=True).open()
    units = [setup.unit(number) for number in range(4)]
    other = setup.unit(0, graph=1)
    for unit in (units[3], units[1]):
        setup.streams.publish(unit, FOUND, 10.5)
    setup.streams.give_up(units[2], "why", 10.5)
    assert setup.records == []
    setup.streams.close("cam0", 11.0)
    assert setup.records == [
        record(units[1], "demo", FOUND, 1.0),
        record(units[2], "demo", Outcome(error="why"), None),
        record(units[3], "demo", FOUND, 1.0),
    ]
    for unit in (units[0], other):
        setup.streams.publish(unit, FOUND, 11.5)
    assert setup.counted(begun=5, result=2, given_up=1, dropped=2)
    assert (setup.records, setup.tally.out_of_order) == ([], 0)


@pytest.mark.parametrize("resumable", [True, False])
def test_a_unit_that_the_end_of_the_daemon_cuts_short_has_no_record_where_a_later_run_does_it(resumable: bool) -> None:
    setup = CameraSetup(ordered=True).open()
    setup.stream.resumable = resumable
    setup.streams.abandon(setup.unit(0), "stopped", 11.0)
    assert setup.counted(begun=1, **({"dropped": 1} if resumable else {"given_up": 1}))
    assert [each.outcome.error for each in setup.records] == ([] if resumable else ["stopped"])


# -- frames


def test_an_offered_frame_is_one_unit_for_each_graph_of_its_stream() -> None:
    setup = CameraSetup(("demo", "faces", "hands"))
    stream = job(setup, graphs=(0, 2))
    setup.streams.offer(stream, frame(3), error=None, now_s=10.0)
    assert setup.pending == [(0, 3), (2, 3)]
    assert setup.tally.count("job-1").open == 2


def test_the_units_of_a_frame_that_holds_nothing_are_given_up_at_once() -> None:
    setup = CameraSetup(("demo", "faces"))
    stream = job(setup, graphs=(0, 1))
    setup.streams.offer(stream, frame(0), error="torn", now_s=10.0)
    assert setup.pending == []
    empty = [Unit("job-1", frame(0), graph) for graph in (0, 1)]
    torn = Outcome(error="torn")
    assert setup.records == [record(empty[0], "demo", torn, None), record(empty[1], "faces", torn, None)]
    assert setup.tally.count("job-1").given_up == 2


def test_a_skipped_frame_is_dropped_by_each_graph_of_its_stream() -> None:
    setup = CameraSetup(("demo", "faces", "hands"))
    setup.streams.skip(job(setup, graphs=(0, 2)))
    assert (setup.tally.count("job-1").begun, setup.tally.count("job-1").dropped) == (2, 2)


def test_a_stream_goes_on_behind_what_an_earlier_run_has_written() -> None:
    """Each graph where its results end: the camera begins at the first frame that one of them lacks."""
    settings = installation(1, graphs=("a", "b"))
    cameras = [msgspec.structs.replace(camera, ordered=True, written={"a": 2, "b": 4}) for camera in settings.cameras]
    world = World(msgspec.structs.replace(settings, cameras=cameras))
    world.cameras["cam0"].frames = 8
    world.cameras["cam0"].ordered = True
    world.start().run(30.0)
    written = [msgspec.json.decode(line) for line in world.sink.file]
    assert [record["frame"] for record in written if record["graph"] == "a"] == [3, 4, 5, 6, 7]
    assert [record["frame"] for record in written if record["graph"] == "b"] == [5, 6, 7]
    assert world.exit_code == 0
    assert (world.engine.tally.lost, world.engine.tally.doubled) == (0, 0)
