"""Results of live and of ordered streams leave in order, and records reach the sinks."""

from __future__ import annotations

import msgspec
import pytest

from ncs_cluster.core.ordering import HOLD_S
from ncs_cluster.core.outbox import HIGH_WATER
from ncs_cluster.core.stream import Stream
from ncs_cluster.core.streams import LONGEST_RECORD, Streams
from ncs_cluster.core.work import Unit
from ncs_cluster.types import Outcome
from tests.core.onecamera import FOUND, CameraSetup, measure, opened_outbox, record
from tests.core.onestream import FakeProducer, frame, job

# -- results of live streams


def test_a_live_result_leaves_at_once_where_no_earlier_frame_is_on_a_stick() -> None:
    setup = CameraSetup().open()
    unit = setup.on_stick(0)
    later = setup.on_stick(1)
    assert setup.inferred(unit, FOUND, 10.5) == []
    assert setup.records == [record(unit, "demo", FOUND, 0.5)]
    assert (setup.streams.deadline_s, later.ended) == (None, None)


def test_a_live_result_is_held_while_an_earlier_frame_is_on_a_stick() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    first, second, other = setup.on_stick(0), setup.on_stick(1), setup.on_stick(0, graph=1)
    assert setup.inferred(second, FOUND, 10.5) == []
    assert (setup.records, second.ended) == ([], None)
    setup.inferred(other, FOUND, 10.5)
    assert setup.records == [record(other, "faces", FOUND, 0.5)], "each graph has its own order"
    setup.inferred(first, Outcome(), 11.0)
    assert setup.records == [record(first, "demo", Outcome(), 1.0), record(second, "demo", FOUND, 1.0)]
    assert (setup.streams.deadline_s, setup.tally.out_of_order) == (None, 0)
    assert setup.counted(begun=3, result=3)


def test_a_held_result_leaves_when_its_time_has_come_and_the_one_before_it_is_late() -> None:
    setup = CameraSetup().open()
    first, second = setup.on_stick(0), setup.on_stick(1)
    setup.inferred(second, FOUND, 10.5, latency_s=0.25)
    assert setup.streams.deadline_s == 10.75 + HOLD_S
    assert setup.streams.release(10.75) == []
    assert setup.records == []
    assert setup.streams.release(11.0) == []
    assert setup.records == [record(second, "demo", FOUND, 1.0)]
    assert setup.streams.deadline_s is None
    assert setup.inferred(first, FOUND, 11.5) == []
    assert (first.ended, setup.records) == ("late", [])
    assert setup.counted(begun=2, result=1, late=1)


def test_the_deadline_is_that_of_the_stream_that_is_due_first() -> None:
    setup = CameraSetup().open()
    assert setup.streams.deadline_s is None
    setup.on_stick(0)
    setup.inferred(setup.on_stick(1), FOUND, 10.5, latency_s=0.5)
    other = Stream("hall", FakeProducer(), graphs=[0])
    setup.streams.open(other)
    units = [Unit("hall", frame(number), 0) for number in (0, 1)]
    for ticket, unit in enumerate(units, 900):
        unit.ticket = ticket
        setup.tally.begin(unit)
        setup.streams.sent(unit)
    setup.streams.inferred(units[1], FOUND, 0.25, 10.5)
    assert setup.streams.deadline_s == 10.75 + HOLD_S
    assert isinstance(other.producer, FakeProducer)
    granted = other.producer.grants
    setup.streams.release(10.8)
    assert [each.stream for each in setup.records] == ["hall"]
    assert other.producer.grants == granted + 1
    assert setup.streams.deadline_s == 11.0 + HOLD_S


@pytest.mark.parametrize("how", ["answered", "released", "flushed", "closed", "never held"])
def test_a_stream_that_holds_nothing_is_not_looked_at_when_results_are_released(how: str) -> None:
    setup = CameraSetup()
    producer = FakeProducer()
    setup.streams.open(Stream("cam0", producer, graphs=[0]))
    first, second = setup.on_stick(0), setup.on_stick(1)
    if how == "never held":
        setup.inferred(first, FOUND, 10.5)
    else:
        setup.inferred(second, FOUND, 10.5)
    if how == "answered":
        setup.inferred(first, FOUND, 10.6)
    elif how == "released":
        setup.streams.release(20.0)
    elif how == "flushed":
        setup.streams.flush(10.6)
    elif how == "closed":
        setup.streams.close("cam0", 10.6)
    before = producer.grants
    assert setup.streams.release(30.0) == []
    assert producer.grants == before


def test_a_frame_whose_inference_failed_is_waited_for_no_more() -> None:
    setup = CameraSetup().open()
    first, second = setup.on_stick(0), setup.on_stick(1)
    setup.inferred(second, FOUND, 10.5)
    setup.inferred(first, Outcome(error="no memory"), 11.0)
    assert setup.records == [record(second, "demo", FOUND, 1.0)]
    assert setup.streams.deadline_s is None
    assert setup.counted(begun=2, result=1, given_up=1)


def test_held_results_that_are_released_go_to_the_camera_for_their_distances() -> None:
    setup = CameraSetup(window=True).open()
    setup.on_stick(0)
    second = setup.on_stick(1)
    assert setup.inferred(second, FOUND, 10.5) == []
    assert setup.streams.release(20.0) == measure(second)


def test_held_results_leave_when_nothing_is_waited_for_any_more() -> None:
    setup = CameraSetup(("demo", "faces"), window=True).open()
    first, second, third = setup.on_stick(0), setup.on_stick(1), setup.on_stick(2)
    setup.inferred(third, FOUND, 10.4)
    setup.inferred(second, FOUND, 10.5)
    assert setup.streams.flush(10.6) == measure(second) + measure(third)
    assert (setup.streams.deadline_s, setup.streams.flush(10.7)) == (None, [])
    setup.inferred(first, FOUND, 10.8)
    assert first.ended == "late"


def test_a_live_result_behind_a_newer_one_of_its_graph_is_late() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    older, newer, other = setup.unit(0), setup.unit(1), setup.unit(0, graph=1)
    for unit in (newer, older, other):
        assert setup.inferred(unit, FOUND, 10.5) == []
    assert setup.counted(begun=3, result=2, late=1)
    assert (older.ended, setup.tally.doubled) == ("late", 0)
    assert setup.records == [record(newer, "demo", FOUND, 0.5), record(other, "faces", FOUND, 0.5)]


# -- results of ordered streams


def test_an_ordered_result_is_never_late_or_held() -> None:
    setup = CameraSetup(ordered=True).open()
    first, second = setup.on_stick(0), setup.on_stick(1)
    setup.inferred(second, FOUND, 10.5)
    assert (setup.records, setup.streams.deadline_s, second.ended) == ([], None, "result")
    assert setup.streams.flush(10.5) == []
    setup.inferred(first, FOUND, 11.0)
    assert setup.records == [record(first, "demo", FOUND, 1.0), record(second, "demo", FOUND, 1.0)]
    assert setup.counted(begun=2, result=2)


def test_an_ordered_result_is_measured() -> None:
    setup = CameraSetup(ordered=True, window=True).open()
    unit = setup.unit(0)
    assert setup.inferred(unit, FOUND, 10.5) == measure(unit)


@pytest.mark.parametrize("ordered", [False, True])
def test_an_inference_that_failed_is_given_up_with_its_reason(ordered: bool) -> None:
    setup = CameraSetup(ordered=ordered, window=True).open()
    unit = setup.unit(0)
    assert setup.inferred(unit, Outcome(error="no memory"), 10.5) == []
    assert setup.counted(begun=1, given_up=1)
    assert setup.records == ([record(unit, "demo", Outcome(error="no memory"), None)] if ordered else [])


# -- publish


def test_a_published_result_counts_for_the_rate_and_the_latency() -> None:
    setup = CameraSetup().open()
    for number, now_s in ((0, 10.5), (1, 11.0), (2, 11.5)):
        setup.streams.publish(setup.unit(number), Outcome(), now_s)
    assert setup.stream.detection.per_s(11.5) == pytest.approx(2.0)
    status = setup.stream.latency.status()
    assert (status.p50, status.p99) == (1000.0, 1500.0)


def test_a_unit_that_has_ended_is_neither_published_nor_given_up_again() -> None:
    setup = CameraSetup(ordered=True).open()
    unit = setup.unit(0)
    setup.streams.publish(unit, Outcome(), 10.5)
    setup.streams.publish(unit, Outcome(), 10.6)
    setup.streams.give_up(unit, "why", 10.7)
    assert setup.records == [record(unit, "demo", Outcome(), 0.5)]
    assert setup.counted(begun=1, result=1)
    assert setup.tally.doubled == 2
    assert setup.stream.latency.status().p99 == 500.0


def test_a_result_that_leaves_behind_a_later_one_of_its_graph_is_counted_as_out_of_order() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    seen = []
    for number, graph in ((0, 0), (1, 0), (0, 1), (1, 0), (0, 0)):
        setup.streams.publish(setup.unit(number, graph=graph), Outcome(), 10.5)
        seen.append(setup.tally.out_of_order)
    assert seen == [0, 0, 0, 1, 2]
    assert setup.stream.published == {0: 0, 1: 0}


@pytest.mark.parametrize("ordered", [False, True])
def test_records_of_live_streams_may_be_lost_and_those_of_ordered_ones_may_not(ordered: bool) -> None:
    setup = CameraSetup(ordered=ordered).open()
    setup.streams.publish(setup.unit(0), Outcome(), 10.5)
    assert [kept.live for kept in setup.outbox._kept] == [not ordered]


def test_without_a_sink_results_are_published_and_not_kept() -> None:
    setup = CameraSetup(sinks=()).open()
    setup.streams.publish(setup.unit(0), Outcome(), 10.5)
    assert setup.counted(begun=1, result=1)
    assert setup.sinks.kept == 0


def test_records_go_to_the_sinks_of_their_stream_or_to_all() -> None:
    setup = CameraSetup(sinks=("", "mqtt", "job")).open()
    stream = job(setup, sinks=("job", "unknown"))
    setup.streams.offer(stream, frame(0), error="torn", now_s=10.0)
    unit = setup.unit(0)
    setup.streams.publish(unit, Outcome(), 10.5)
    camera, other = record(unit, "demo", Outcome(), 0.5), record(Unit("job-1", frame(0), 0), "demo", Outcome(error="torn"), None)
    sent = {name: [each for _, each in sink.outbox.sendable()] for name, sink in setup.sinks.by_name.items()}
    assert sent == {"": [camera], "mqtt": [camera], "job": [other, camera]}


def test_a_record_that_is_too_long_for_a_message_is_replaced_by_one_that_says_so() -> None:
    setup = CameraSetup(ordered=True).open()
    first, second = setup.unit(0), setup.unit(1)
    empty = len(msgspec.msgpack.encode(record(first, "demo", Outcome(error="x" * 70_000), None))) - 70_000
    most = "x" * (LONGEST_RECORD - empty)
    assert len(msgspec.msgpack.encode(record(first, "demo", Outcome(error=most), None))) == LONGEST_RECORD == 190_000
    setup.streams.give_up(first, most, 10.5)
    setup.streams.publish(second, Outcome(error=most + "x"), 10.5)
    replaced = Outcome(error="result of 190001 bytes is longer than 190000 bytes")
    assert setup.records == [record(first, "demo", Outcome(error=most), None), record(second, "demo", replaced, None)]


# -- sinks that are full


def test_a_stream_is_full_when_one_of_its_sinks_is() -> None:
    setup = CameraSetup(sinks=("", "mqtt", "job")).open()
    stream = job(setup, sinks=("", "job"))
    unit = setup.unit(0)
    for _ in range(HIGH_WATER):
        assert not setup.streams.full(stream)
        setup.sinks.by_name["job"].outbox.put(record(unit, "demo", Outcome(), 0.5))
    assert setup.streams.full(stream)
    assert setup.streams.full(setup.stream), "a camera's go to all"
    assert not setup.streams.full(job(setup, "job-2", sinks=("mqtt",)))


def test_ordered_lanes_wait_while_a_sink_of_theirs_is_full() -> None:
    setup = CameraSetup(sinks=("", "job")).open()
    job(setup, "job-1", sinks=("job",))
    job(setup, "job-2", sinks=("",))
    outbox = setup.sinks.by_name["job"].outbox
    unit = setup.unit(0)
    for _ in range(HIGH_WATER):
        outbox.put(record(unit, "demo", Outcome(), 0.5))
    setup.streams.hold_full()
    assert {key[0]: lane.held for key, lane in setup.dispatcher.lanes.items()} == {"cam0": False, "job-1": True, "job-2": False}
    opened_outbox(outbox).sendable()
    outbox.acked(0, b"")
    setup.streams.hold_full()
    assert [lane.held for lane in setup.dispatcher.lanes.values()] == [False, False, False]


def test_a_new_weight_is_that_of_the_stream_and_of_its_lanes() -> None:
    setup = CameraSetup(("demo", "faces")).open()
    setup.streams.set_weight("cam0", 4.0)
    assert setup.stream.weight == 4.0
    assert [lane.cost for lane in setup.dispatcher.lanes.values()] == [0.5, 0.5]


def test_streams_are_published_in_whatever_graphs_there_are() -> None:
    setup = CameraSetup(())
    assert isinstance(setup.streams, Streams)
    stream = job(setup)
    setup.streams.offer(stream, frame(0), error="torn", now_s=10.0)
    assert [each.graph for each in setup.records] == ["none"]
